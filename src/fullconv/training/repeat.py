"""``train --config``: a run once more, and what keeps it from being the same to the last bit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fullconv.errors import UsageError
from fullconv.files import read_yaml
from fullconv.there import refuse_missing_config
from fullconv.training.run import Run
from fullconv.training.run_folder import surroundings

GPU = (
    "on a GPU a run is repeated closely, not to the last bit: gradients are summed in an order that changes; "
    "--device cpu repeats a run of the CPU exactly"
)

CLOCK = (
    "the run was given minutes: this one has the epochs that it came to, and from the start the rates of so many; if "
    "their number was changed on the way, those were others"
)


def run_of(config: str | os.PathLike[str]) -> Run:
    """The run that a ``config.yaml`` lies in, or whose folder is given.

    Raises:
        UsageError: there is none.
    """
    path = Path(config)
    refuse_missing_config(path)
    return Run(path if path.is_dir() else path.parent)


def differences(run: Run, device: torch.device) -> list[str]:
    """What is not as it was in the run, or changes by itself, in lines; nothing on the same machine's CPU."""
    lines = [GPU] if device.type != "cpu" else []
    lines += [CLOCK] if read_yaml(run.config, UsageError, "options").get("minutes") is not None else []
    try:
        then: dict[str, Any] = json.loads(run.environment.read_text(encoding="utf-8"))
        before, now = _facts(then), _facts(surroundings())
    except (OSError, ValueError, AttributeError, TypeError):
        return [*lines, f"{run.environment}: cannot be read, so whether this machine is as it was is not known"]
    changed = [f"{name} (was {before[name]}, is {now.get(name)})" for name in before if before[name] != now.get(name)]
    if changed:
        lines.append(f"it may differ from the run in its last digits, for other than there are {', '.join(changed)}")
    return lines


def _facts(environment: Mapping[str, Any]) -> dict[str, str]:
    """What the last bits depend on."""
    names = ("processor", "threads", "gpus")
    return {**{name: str(environment[name]) for name in names if name in environment}, **environment["packages"]}
