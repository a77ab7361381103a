"""Lists of images, one a line, that divide a folder into splits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fullconv.data.dataset import Item
from fullconv.errors import DataError, first_few
from fullconv.files import leads_outside
from fullconv.formats.read.base import SPLIT_NAMES, lines
from fullconv.formats.read.names import Names, composed, spot
from fullconv.images.files import IMAGE_SUFFIXES


def lists_of(root: Path) -> dict[str, str]:
    """``train.txt`` and so on in the folder, or in ``splits``, ``lists`` or VOC's folder of lists; in any case."""
    found: dict[str, str] = {}
    for split, names in SPLIT_NAMES:
        for name in names:
            for place in ("", "splits/", "lists/", "ImageSets/Segmentation/"):
                there = spot(root / f"{place}{name}.txt")
                if there is not None and there.is_file():
                    found.setdefault(split, there.relative_to(root).as_posix())
    return found


@dataclass
class Listed:
    """What the lines of one list name.

    Attributes:
        found: an item a line.
        missing: lines that name no image.
        several: lines that name more than one.
        outside: lines that lead outside the data's folder.
    """

    found: list[Item] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.found) + len(self.missing) + len(self.several) + len(self.outside)


class Lists:
    """The items of a folder, found by the lines of lists.

    A line is a path, with or without suffix, its first word or all of it; the longest end of it that fits counts
    (``images/a.png``), a bare name wherever it lies.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        known: dict[str, list[Item]] = {}
        for item in items:
            place = PurePosixPath(item.id).with_name(item.image.name).as_posix()
            for name in {composed(name) for name in (item.id, item.image.name, item.image.stem, place)}:
                known.setdefault(name, []).append(item)
        self.known = Names(known.items())

    def read(self, path: Path, split: str) -> Listed:
        """The items of the list of one split.

        Raises:
            DataError: there is no such file, or it is no text.
        """
        if not path.is_file():
            raise DataError(f"{path}: split {split!r} is said to be listed there, but there is no such file")
        result = Listed()
        for line in lines(path):
            found = [] if leads_outside(line) else self._named(line)
            if leads_outside(line):
                result.outside.append(line)
            elif not found:
                result.missing.append(line)
            elif len(found) > 1:
                result.several.append(line)
            else:
                result.found += found
        return result

    def _named(self, line: str) -> list[Item]:
        """The items that a line may mean; the most exact reading counts."""
        for text in (line, re.split(r"[\s,]+", line)[0]):
            place = PurePosixPath(text.replace("\\", "/"))
            bare = place.with_suffix("") if place.suffix.lower() in IMAGE_SUFFIXES else place
            for start in range(len(place.parts)):
                for reading in (place, bare):
                    found = self.known.get(PurePosixPath(*reading.parts[start:]).as_posix()) or []
                    if start and start == len(place.parts) - 1:  # only its name is left of a path
                        found = [item for item in found if "/" not in item.id]
                    if found:
                        return found
        return []


def by_lists(root: Path, items: Sequence[Item], lists: Mapping[str, str]) -> dict[str, Sequence[Item]]:
    """The items that each list names, as :class:`Lists` finds them.

    Raises:
        DataError: no such list, or an entry that leads outside, names no image, or several.
    """
    known = Lists(items)
    splits: dict[str, Sequence[Item]] = {}
    for split, name in lists.items():
        path = root / name
        listed = known.read(path, split)
        if listed.outside:
            raise DataError(
                f"{path}: names {listed.outside[0]!r}, which leads outside the data's folder; refused, write paths "
                "from there"
            )
        if listed.missing:
            raise DataError(
                f"{path}: {len(listed.missing)} of {listed.count} entries name no image ({first_few(listed.missing)})"
            )
        if listed.several:
            raise DataError(
                f"{path}: {first_few(listed.several)} names several images; write the path from the folder of images"
            )
        splits[split] = listed.found
    return splits
