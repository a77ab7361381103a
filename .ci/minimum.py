"""Print pip constraints that pin every dependency of pyproject.toml to the oldest version that it allows.

python .ci/minimum.py pyproject.toml > minimum.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)(\[[^]]*\])?\s*(?P<range>[^;]*)")


def pins(project: dict) -> dict[str, str]:
    """``{name: oldest version}`` of all dependencies and extras of ``[project]``.

    Raises:
        ValueError: a dependency without a lower bound.
    """
    requirements = [
        *project["dependencies"],
        *(one for many in project["optional-dependencies"].values() for one in many),
    ]
    oldest = {}
    for requirement in requirements:
        match = REQUIREMENT.match(requirement)
        assert match is not None, requirement
        if match["name"] == project["name"]:
            continue
        bounds = [
            part.strip().removeprefix(">=") for part in match["range"].split(",") if part.strip().startswith(">=")
        ]
        if len(bounds) != 1:
            raise ValueError(f"{requirement}: expected one lower bound, name>=version")
        oldest[match["name"]] = bounds[0]
    return oldest


if __name__ == "__main__":
    content = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(f"{name}=={version}" for name, version in pins(content["project"]).items()))
