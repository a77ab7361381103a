"""The recipes that come with fullconv: options of training for a known data set, with their figures."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from fullconv.errors import UsageError

FOLDER = Path(__file__).parents[1] / "recipes"


class Recipes(dict[str, str]):
    """Texts by name; at a prompt names and subjects."""

    def __repr__(self) -> str:
        return "\n  ".join(["Recipes", *(f"{name}: {subject(text)}" for name, text in self.items())])


def recipes(name: str = "") -> Recipes:
    """The text of each by name; it opens with what it is for, its command, its time and score.

    Args:
        name: of the only one that is meant.

    Raises:
        UsageError: there is none of that name.
    """
    if name:
        return Recipes({name: find_recipe(name).read_text(encoding="utf-8")})
    return Recipes({path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))})


def recipes_on(encoders: Sequence[str]) -> dict[str, list[str]]:
    """The names of the recipes that train a network on each of these encoders, if any does."""
    found: dict[str, list[str]] = {}
    for name, text in recipes().items():
        encoder = yaml.safe_load(text).get("encoder")
        if encoder in encoders:
            found.setdefault(encoder, []).append(name)
    return found


def subject(text: str) -> str:
    """What a recipe is for: the first sentence of its text."""
    lines = []
    for line in text.splitlines():
        words = line.removeprefix("#").strip()
        if not line.startswith("#") or not words:
            break
        lines.append(words)
    return re.split(r"(?<=\.)\s", " ".join(lines))[0]


def find_recipe(name: str | os.PathLike[str]) -> Path:
    """The file of a recipe: the one of this path, else the one of this name that comes with fullconv.

    Raises:
        UsageError: neither is there.
    """
    path = Path(name)
    own = FOLDER / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.exists():
        return path
    if path == Path(own.stem) and own.is_file():
        return own
    if own.is_file():
        raise UsageError(f"{path}: no such file; --recipe {own.stem}, without folder and suffix, is fullconv's own")
    near = difflib.get_close_matches(path.stem, [file.stem for file in FOLDER.glob("*.yaml")], 1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "give a YAML file of options, or a name that fullconv recipes lists"
    raise UsageError(f"{path}: no such file; {hint}")
