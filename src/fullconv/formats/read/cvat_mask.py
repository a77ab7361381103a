"""CVAT's "Segmentation mask 1.1": PASCAL VOC's folders, with the tool's own labels and colours in ``labelmap.txt``.

Format: CVAT's documentation, "Segmentation Mask". The licence is that of whoever made the labels.
"""

from __future__ import annotations

import re
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.data.sources import FileImage, FileMask
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, image_files, lines
from fullconv.formats.read.exports import by_subset
from fullconv.formats.read.names import Names
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.palette import is_background
from fullconv.spec import ClassSet, Colour

IGNORED_LABEL = "ignored"
IMAGE_FOLDERS = ("JPEGImages", "images", ".")
_COLOURS = re.compile(r":|\d\s*,\s*\d")
_LINE = re.compile(r"(.+?):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::[^:]*){0,2}")


def recognise_cvat_mask(root: Path, description: Description, problems: Problems) -> Found | None:
    """CVAT masks: ``labelmap.txt`` and ``SegmentationClass``; lists in ``ImageSets/Segmentation`` where they are.

    The colours of ``labelmap.txt`` say which class a pixel is, however a file stores its colours. The numbers of grey
    (or palette) masks whose colours are none of these are lines of ``labelmap.txt``, from 0.
    """
    listing, masks = root / "labelmap.txt", root / "SegmentationClass"
    if not (listing.is_file() and masks.is_dir()):
        return None
    rows = [line for line in lines(listing) if not line.startswith("#")]
    if rows and not any(_COLOURS.search(line) for line in rows):
        return None  # a list of names
    classes, encoding, voids = _label_map(listing)
    reasons = [
        f"labelmap.txt and SegmentationClass: CVAT's Segmentation mask 1.1, {plural(len(classes), 'class')} by their "
        "colours"
    ]
    if voids:
        reasons.append(f"the label {IGNORED_LABEL!r} is unlabelled")
    subsets = _subsets(root, masks)
    available = Names((path.relative_to(masks).with_suffix("").as_posix(), path) for path in masks.rglob("*.png"))
    every = list(dict.fromkeys(name for names in subsets.values() for name in names))
    of_name = {name: mask for name in every if (mask := available.get(name)) is not None}
    bare = {name for name in every if name not in of_name}
    if not of_name:
        raise DataError(
            f"{masks}: no mask of a listed image is there; export again, with the masks named like the list"
        )
    images = _images(root)
    pictures = {name: image for name in every if (image := images.get(name)) is not None}
    missing = sorted(name for name in every if name not in bare and name not in pictures)
    if missing:
        problems.report(
            "unpaired", f"{root}: {plural(len(missing), 'mask', 'has')} no image ({first_few(missing)})",
            "export again with images saved, or put the images into JPEGImages or images",
        )  # fmt: skip
    if bare:
        reasons.append(f"{len(bare)} listed images have no mask and are left out ({first_few(sorted(bare))})")
    items = {
        subset: [
            Item(name, FileImage(pictures[name]), FileMask(of_name[name]))
            for name in names
            if name in pictures and name in of_name
        ]
        for subset, names in subsets.items()
    }
    return Found("cvat_mask", reasons, by_subset(items, reasons), classes, encoding)


def _label_map(path: Path) -> tuple[ClassSet, MaskEncoding, tuple[Colour, ...]]:
    """Classes in the file's order, black background first where it names none; how masks are read; void colours."""
    colours: dict[str, Colour] = {}
    for number, line in enumerate(lines(path), 1):
        if line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or max(int(match[i]) for i in (2, 3, 4)) > 255:
            raise DataError(f"{path}: entry {number} is {line[:60]!r}; expected 'label:R,G,B:parts:actions', 0 to 255")
        name, colour = match[1].strip(), (int(match[2]), int(match[3]), int(match[4]))
        other = next((known for known in colours if known == name or colours[known] == colour), None)
        if other is not None:
            raise DataError(f"{path}: {other!r} and {name!r} share a name or a colour; give each label its own")
        colours[name] = colour
    order = list(colours)
    voids = (colours.pop(IGNORED_LABEL),) if IGNORED_LABEL in colours else ()
    if not colours:
        raise DataError(f"{path}: names no label; expected lines 'label:R,G,B:parts:actions'")
    if not any(is_background(name) for name in colours) and (0, 0, 0) not in {*colours.values(), *voids}:
        colours, order = {"background": (0, 0, 0), **colours}, ["background", *order]
    classes = ClassSet(tuple(colours), tuple(colours.values()))
    values = {place: classes.names.index(name) for place, name in enumerate(order) if name != IGNORED_LABEL}
    void_values = (order.index(IGNORED_LABEL), 255) if voids else None
    ids = {colour: index for index, colour in enumerate(colours.values())}
    return classes, MaskEncoding(values, ids, void_values, voids, named_in=path.name), voids


def _subsets(root: Path, masks: Path) -> dict[str, list[str]]:
    """Names of images, without their suffixes, per list; without lists every mask's."""
    found = {path.stem: lines(path) for path in sorted((root / "ImageSets" / "Segmentation").glob("*.txt"))}
    if any(found.values()):
        return found
    return {"": sorted(path.relative_to(masks).with_suffix("").as_posix() for path in masks.rglob("*.png"))}


def _images(root: Path) -> Names[Path]:
    """Image files by name without suffix; of the folders the first wins. Beside the masks none lies deeper."""
    found: dict[str, Path] = {}
    for name in IMAGE_FOLDERS:
        folder = root / name
        beside = (p for p in sorted(root.glob("*")) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        for path in beside if name == "." else image_files(folder):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return Names(found.items())
