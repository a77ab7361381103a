"""Lists of images, one a line, that divide a folder into splits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fullconv.data.layouts.base import SPLIT_NAMES, lines
from fullconv.data.spec import Item
from fullconv.errors import DataError, first_few
from fullconv.files import leads_outside
from fullconv.images.files import IMAGE_SUFFIXES


def lists_of(root: Path) -> dict[str, str]:
    """``train.txt`` and so on in the folder, or in ``splits`` or ``lists`` below it."""
    found: dict[str, str] = {}
    for split, names in SPLIT_NAMES:
        for name in names:
            for place in ("", "splits/", "lists/"):
                if (root / f"{place}{name}.txt").is_file():
                    found.setdefault(split, f"{place}{name}.txt")
    return found


def by_lists(root: Path, items: Sequence[Item], lists: Mapping[str, str]) -> dict[str, Sequence[Item]]:
    """The items that each list names.

    A line is a path, with or without suffix, its first word or all of it; the longest end of it that fits counts
    (``images/a.png``), a bare name wherever it lies.

    Raises:
        DataError: no such list, or an entry that leads outside, names no image, or several.
    """
    known: dict[str, list[Item]] = {}
    for item in items:
        names = {
            item.id,
            item.image.name,
            item.image.stem,
            PurePosixPath(item.id).with_name(item.image.name).as_posix(),
        }
        for name in names:
            known.setdefault(name, []).append(item)
    splits: dict[str, Sequence[Item]] = {}
    for split, name in lists.items():
        path = root / name
        if not path.is_file():
            raise DataError(f"{path}: split {split!r} is said to be listed there, but there is no such file")
        entries = lines(path)
        outside = [line for line in entries if leads_outside(line)]
        if outside:
            raise DataError(
                f"{path}: names {outside[0]!r}, which leads outside the data's folder; refused, write paths from there"
            )
        found = [_named(line, known) for line in entries]
        missing = [line for line, there in zip(entries, found, strict=True) if not there]
        if missing:
            raise DataError(f"{path}: {len(missing)} of {len(entries)} entries name no image ({first_few(missing)})")
        several = [line for line, there in zip(entries, found, strict=True) if len(there) > 1]
        if several:
            raise DataError(
                f"{path}: {first_few(several)} names several images; write the path from the folder of images"
            )
        splits[split] = [there[0] for there in found]
    return splits


def _named(line: str, known: Mapping[str, list[Item]]) -> list[Item]:
    """The items that a line may mean; the most exact reading counts."""
    for text in (line, re.split(r"[\s,]+", line)[0]):
        place = PurePosixPath(text.replace("\\", "/"))
        bare = place.with_suffix("") if place.suffix.lower() in IMAGE_SUFFIXES else place
        for start in range(len(place.parts)):
            for reading in (place, bare):
                found = known.get(PurePosixPath(*reading.parts[start:]).as_posix(), [])
                if start and start == len(place.parts) - 1:  # only its name is left of a path
                    found = [item for item in found if "/" not in item.id]
                if found:
                    return found
    return []
