"""COCO's JSON files: read an element at a time, so that a file of 500 MB does not become 5 GB of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fullconv.errors import DataError, first_few
from fullconv.text import read_text

SOME_CATEGORIES = {1: "person", 13: "stop sign", 44: "bottle", 90: "toothbrush"}
_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode

Categories = dict[int, dict[str, Any]]


def read_json(path: Path, each: Mapping[str, Callable[[Any], None]]) -> dict[str, Any]:
    """The entries of a JSON object; ``each[key]`` is given the elements of the array ``key``, one by one.

    Returns:
        Its entries; for the keys of ``each``, the number of elements instead. Empty if the file holds no object.

    Raises:
        DataError: not JSON.
    """
    entries: dict[str, Any] = {}
    try:
        text = read_text(path)
        place = _next(text, 0)
        if text[place] != "{":
            return entries
        place = _next(text, place + 1)
        while text[place] != "}":
            key, place = _decode(text, place)
            place = _next(text, _past(text, place, ":"))
            if key in each and text[place] == "[":
                entries[key], place = _elements(text, place, each[key])
            else:
                entries[key], place = _decode(text, place)
            place = _comma(text, place, "}")
    except (ValueError, IndexError, RecursionError, OSError) as error:
        if isinstance(error, DataError):
            raise
        said = "it ends too early" if isinstance(error, IndexError) else error
        raise DataError(f"{path}: not readable JSON ({said}); save it again") from error
    return entries


def _elements(text: str, place: int, take: Callable[[Any], None]) -> tuple[int, int]:
    """Give ``take`` the elements of the array at ``place``; their number, and the place after it."""
    count, place = 0, _next(text, place + 1)
    while text[place] != "]":
        element, place = _decode(text, place)
        take(element)
        count += 1
        place = _comma(text, place, "]")
    return count, place + 1


def _next(text: str, place: int) -> int:
    """The next place that is not white space."""
    match = _SPACE.match(text, place)
    assert match
    return match.end()


def _past(text: str, place: int, sign: str) -> int:
    place = _next(text, place)
    if text[place] != sign:
        raise json.JSONDecodeError(f"expected {sign!r}", text, place)
    return place + 1


def _comma(text: str, place: int, end: str) -> int:
    """Past a comma, or at the closing sign."""
    place = _next(text, place)
    return place if text[place] == end else _next(text, _past(text, place, ","))


def categories(path: Path, content: Mapping[str, Any]) -> Categories:
    """The file's categories by id, in the order of the ids.

    Raises:
        DataError: none, one without id and name, or two of one id or name.
    """
    listed = content.get("categories")
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{path}: has no list 'categories'; expected [{{'id': 1, 'name': 'person'}}, ...]")
    found: Categories = {}
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int) or "name" not in entry:
            raise DataError(f"{path}: a category without a whole number as id, or without a name: {str(entry)[:60]}")
        if entry["id"] in found:
            raise DataError(f"{path}: two categories have id {entry['id']}; give each its own")
        found[entry["id"]] = entry
    names = [str(entry["name"]) for entry in found.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: two categories are named {twice[0]!r}; rename or merge them")
    return dict(sorted(found.items()))


def same_categories(found: Mapping[Path, Categories]) -> Categories:
    """The categories of several files, which must agree.

    Raises:
        DataError: they do not.
    """
    (first, one), *others = found.items()
    for path, other in others:
        ours, theirs = ({key: str(entry["name"]) for key, entry in c.items()} for c in (one, other))
        if ours != theirs:
            strange = sorted({f"{key} {name}" for key, name in ours.items() ^ theirs.items()})
            raise DataError(
                f"{path}: has other categories than {first.name} ({first_few(strange)}); make the two lists the same"
            )
    return one


def is_public(path: Path, found: Categories) -> bool:
    """Whether a file is COCO's own, by the year in its name and some of its categories; many take over the name."""
    own = all(str(found.get(key, {}).get("name")) == name for key, name in SOME_CATEGORIES.items())
    return own and path.stem.endswith(("2014", "2017"))
