"""Lists of images, one a line, that divide a folder into splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from fullconv.data.dataset import Item
from fullconv.errors import DataError, first_few
from fullconv.files import leads_outside
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, lines, readings, report_outside
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


def by_lists(
    root: Path, items: Sequence[Item], lists: Mapping[str, str], problems: Problems
) -> dict[str, Sequence[Item]]:
    """The items that each list names; entries that name none, several or lead outside are left out, a problem each.

    A line is a path, with or without suffix, its first word or all of it; the longest end of it that fits counts
    (``images/a.png``), a bare name wherever it lies.
    """
    known: dict[str, list[Item]] = {}
    for item in items:
        image = item.image.files[0]
        place = PurePosixPath(item.id).with_name(image.name).as_posix()
        for name in {composed(name) for name in (item.id, image.name, image.stem, place)}:
            known.setdefault(name, []).append(item)
    splits: dict[str, Sequence[Item]] = {}
    for split, name in lists.items():
        splits[split] = []
        with problems.catching("lists"):
            splits[split] = _read(root / name, split, Names(known.items()), problems)
    return splits


def _read(path: Path, split: str, known: Names[list[Item]], problems: Problems) -> list[Item]:
    """The items of one list.

    Raises:
        DataError: there is no such file, or it is no text.
    """
    if not path.is_file():
        raise DataError(f"{path}: split {split!r} is said to be listed there, but there is no such file")
    entries = lines(path)
    report_outside(path, [line for line in entries if leads_outside(line)], problems)
    found = {line: _named(line, known) for line in entries if not leads_outside(line)}
    missing = [line for line, items in found.items() if not items]
    if problems.bare and missing:
        unmasked = _without_mask(missing, problems.bare)
        problems.listed(split, list(unmasked.values()))
        missing = [line for line in missing if line not in unmasked]
    if missing:
        problems.report(
            "unpaired", f"{path}: {len(missing)} of {len(entries)} entries name no image with a mask "
            f"({first_few(missing)})", "add the files, or take the entries off the list",
        )  # fmt: skip
    several = [line for line, items in found.items() if len(items) > 1]
    if several:
        problems.report(
            "unpaired", f"{path}: {first_few(several)} names several images", "write the path from the folder of images"
        )
    return [found[line][0] for line in entries if len(found.get(line, [])) == 1]


def _without_mask(entries: Sequence[str], images: Collection[Path]) -> dict[str, Path]:
    """Of those entries that mean one of these images, the image; as :func:`by_lists` reads them."""
    known: dict[str, list[Path]] = {}
    for path in images:
        for name in {composed(path.name), composed(path.stem)}:
            known.setdefault(name, []).append(path)
    found: dict[str, Path] = {}
    for line in entries:
        for place in (place for text in readings(line) for place in _places(text)):
            same = known.get(composed(place.name), [])
            ends = [PurePosixPath(*place.parts[start:]).as_posix() for start in range(len(place.parts))]
            fitting = ([path for path in same if path.match(e) or path.with_suffix("").match(e)] for e in ends)
            fits = next((paths for paths in fitting if paths), [])
            if len(fits) == 1:
                found.setdefault(line, fits[0])
    return found


def _named(line: str, known: Names[list[Item]]) -> list[Item]:
    """The items that a line may mean; the most exact reading counts."""
    for text in readings(line):
        place, bare = _places(text)
        for start in range(len(place.parts)):
            for reading in (place, bare):
                found = known.get(PurePosixPath(*reading.parts[start:]).as_posix()) or []
                if start and start == len(place.parts) - 1:  # only its name is left of a path
                    found = [item for item in found if "/" not in item.id]
                if found:
                    return found
    return []


def _places(text: str) -> tuple[PurePosixPath, PurePosixPath]:
    """The path that a reading is, and the same without the suffix of an image."""
    place = PurePosixPath(text.replace("\\", "/"))
    return place, place.with_suffix("") if place.suffix.lower() in IMAGE_SUFFIXES else place
