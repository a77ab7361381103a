"""``class_dict.csv``: names and colours of classes, as copies of CamVid and many others have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullconv.data.counting import ask_about_255
from fullconv.data.palette_mask import PaletteMask
from fullconv.data.spec import Item
from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import opened
from fullconv.spec import ClassSet, Colour
from fullconv.text import read_csv

CLASS_DICT = "class_dict.csv"
VOID_NAMES = {"void", "unlabelled", "unlabeled", "ignore"}
ARRAY = ".npy"
WHITE, BIT = 255, 1


def by_class_dict(
    listing: Path, splits: Mapping[str, Sequence[Item]], given: MaskEncoding, reasons: list[str]
) -> tuple[dict[str, Sequence[Item]], ClassSet, MaskEncoding]:
    """Items, classes and encoding of masks that ``class_dict.csv`` describes.

    RGB masks and palettes are read by colour. Grey masks are read by their classes' greys where all colours are grey;
    else they hold the number of a class's line, from 0. A class called void, unlabelled or ignore is void.

    Args:
        listing: lines ``name,r,g,b``, below a heading or not.
        splits: items whose masks are files.
        given: ``ignore`` of ``dataset.yaml``, which is void as well.
        reasons: the rules applied are added here.

    Raises:
        DataError: not such a file, or grey masks whose 255 may be a class or void.
    """
    found = _read(listing)
    kept = {name: colour for name, colour in found.items() if name.casefold() not in VOID_NAMES}
    if not kept:
        raise DataError(f"{listing}: names no class; expected a heading and lines name,r,g,b")
    voids = [name for name in found if name not in kept]
    reasons.append(f"classes from {listing.name}" + (f"; {', '.join(voids)} is void" if voids else ""))
    ids = {colour: index for index, colour in enumerate(kept.values())}
    void_colours = (*(found[name] for name in voids), *given.void_colours)
    modes: dict[Path, str] = {}

    def read(item: Item) -> Item:
        if item.labels is not None or item.mask.suffix.lower() == ARRAY:
            return item
        try:
            with opened(item.mask) as picture:
                modes[item.mask] = picture.mode
        except DataError:
            return item  # named where it is read
        palette = modes[item.mask] == "P"
        return dataclasses.replace(item, labels=PaletteMask(item.mask, ids, void_colours)) if palette else item

    items: dict[str, Sequence[Item]] = {split: [read(item) for item in items] for split, items in splits.items()}
    values, void_values = _of_grey(found, ids, voids)
    grey = [mask for mask, mode in modes.items() if mode not in ("P", "RGB", "RGBA")]
    if grey and all(len(set(colour)) == 1 for colour in found.values()):
        reasons.append("grey masks are read by the grey of their classes")
    elif grey:
        reasons.append(f"grey masks are read as line numbers of {listing.name}, from 0")
        ask_about_255(listing.parent, grey, MaskEncoding())
    encoding = MaskEncoding(values, ids, (*void_values, *(given.void_values or ())), void_colours)
    return items, ClassSet(tuple(kept), tuple(kept.values())), encoding


def _of_grey(
    found: Mapping[str, Colour], ids: Mapping[Colour, int], voids: Sequence[str]
) -> tuple[dict[int, int], tuple[int, ...]]:
    """Class ids, and void values, of grey masks: by the classes' greys where all are grey, else by line numbers."""
    if all(len(set(colour)) == 1 for colour in found.values()):
        values = {colour[0]: index for colour, index in ids.items()}
        empty = tuple(found[name][0] for name in voids)
        if WHITE in values and BIT not in values:
            values[BIT] = values[WHITE]  # of masks of one bit
        return values, empty
    order = list(found)
    empty = tuple(order.index(name) for name in voids)
    return {place: ids[found[name]] for place, name in enumerate(order) if name not in voids}, (*empty, WHITE)


def _read(listing: Path) -> dict[str, Colour]:
    rows = read_csv(listing)
    if rows and not any(cell.isdigit() for cell in rows[0][1:4]):
        rows = rows[1:]
    found: dict[str, Colour] = {}
    for row in rows:
        try:
            red, green, blue = (int(cell) for cell in row[1:4])
        except ValueError as error:
            raise DataError(f"{listing}: line {','.join(row)!r}; expected name,r,g,b; correct it") from error
        if not row[0] or row[0] in found or (red, green, blue) in found.values():
            raise DataError(f"{listing}: {row[0]!r} has no name, or a name or colour that another has; correct it")
        if not all(0 <= part <= 255 for part in (red, green, blue)):
            raise DataError(f"{listing}: {row[0]} has colour {red},{green},{blue}; expected 0 to 255; correct it")
        found[row[0]] = (red, green, blue)
    return found
