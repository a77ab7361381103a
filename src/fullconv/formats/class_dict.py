"""``class_dict.csv``: names and colours of classes, as copies of CamVid and many others have it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet, Colour
from fullconv.text import read_csv

CLASS_DICT = "class_dict.csv"
VOID_NAMES = {"void", "unlabelled", "unlabeled", "ignore"}


def by_class_dict(listing: Path, given: MaskEncoding, reasons: list[str]) -> tuple[ClassSet, MaskEncoding]:
    """Classes and encoding of masks that ``class_dict.csv`` describes.

    Its colours decide; the numbers of grey and palette masks whose colours are none of its own are numbers of its
    lines, from 0. A class called void, unlabelled or ignore is void.

    Args:
        listing: lines ``name,r,g,b``, below a heading or not.
        given: ``ignore`` and ``transparent`` of ``dataset.yaml``, which count as well.
        reasons: the rules applied are added here.

    Raises:
        DataError: not such a file.
    """
    found = _read(listing)
    kept = {name: colour for name, colour in found.items() if name.casefold() not in VOID_NAMES}
    if not kept:
        raise DataError(f"{listing}: names no class; expected a heading and lines name,r,g,b")
    voids = [name for name in found if name not in kept]
    reasons.append(f"classes and colours from {listing.name}" + (f"; {', '.join(voids)} is void" if voids else ""))
    ids = {colour: index for index, colour in enumerate(kept.values())}
    order = list(found)
    values = {place: ids[found[name]] for place, name in enumerate(order) if name in kept}
    void_values = (*(order.index(name) for name in voids), *(given.void_values or ()))
    encoding = dataclasses.replace(
        given, values=values, colours=ids, void_values=void_values or given.void_values,
        void_colours=(*(found[name] for name in voids), *given.void_colours),
    )  # fmt: skip
    return ClassSet(tuple(kept), tuple(kept.values())), encoding


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
