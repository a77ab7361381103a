"""``class_dict.csv``: names and colours of classes, as copies of CamVid and many others have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fullconv.errors import DataError
from fullconv.formats.problems import Problems
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet, Colour
from fullconv.text import read_csv

CLASS_DICT = "class_dict.csv"
VOID_NAMES = {"void", "unlabelled", "unlabeled", "ignore"}


def by_class_dict(
    listing: Path, given: MaskEncoding, reasons: list[str], problems: Problems
) -> tuple[ClassSet, MaskEncoding]:
    """Classes and encoding of masks that ``class_dict.csv`` describes.

    Its colours decide; the numbers of grey and palette masks whose colours are none of its own are numbers of its
    lines, from 0. A class called void, unlabelled or ignore is void. A wrong line keeps its number.

    Args:
        listing: lines ``name,r,g,b``, below a heading or not.
        given: ``ignore`` and ``transparent`` of ``dataset.yaml``, which count as well.
        reasons: the rules applied are added here.

    Raises:
        DataError: not such a file.
    """
    found = _read(listing, problems)
    kept = {name: colour for name, colour in found.items() if name.casefold() not in VOID_NAMES}
    if not kept:
        raise DataError(f"{listing}: names no class; expected a heading and lines name,r,g,b")
    voids = [name for name in found if name not in kept]
    reasons.append(f"classes and colours from {listing.name}" + (f"; {', '.join(voids)} is void" if voids else ""))
    ids = {name: index for index, name in enumerate(kept)}
    palette = [colour for colour in kept.values() if colour is not None]
    void_values = (*(list(found).index(name) for name in voids), *(given.void_values or ()))
    encoding = dataclasses.replace(
        given,
        values={place: ids[name] for place, name in enumerate(found) if name in kept},
        colours={colour: ids[name] for name, colour in kept.items() if colour is not None},
        void_values=void_values or given.void_values,
        void_colours=(*(colour for name in voids if (colour := found[name]) is not None), *given.void_colours),
        named_in=listing.name,
    )
    return ClassSet(tuple(kept), tuple(palette) if len(palette) == len(kept) else ()), encoding


def _read(listing: Path, problems: Problems) -> dict[str, Colour | None]:
    """Names and colours, line by line; no colour where it is wrong."""
    rows = read_csv(listing)
    if rows and not any(cell.isdigit() for cell in rows[0][1:4]):
        rows = rows[1:]
    found: dict[str, Colour | None] = {}
    for row in rows:
        colour, wrong = _colour(row)
        if not wrong and (not row[0] or row[0] in found or colour in found.values()):
            colour, wrong = None, f"{row[0]!r} has no name, or a name or colour that another has"
        if wrong:
            problems.report("classes", f"{listing}: {wrong}", "correct it")
        found[row[0] if row[0] and row[0] not in found else f"line {len(found) + 1}"] = colour
    return found


def _colour(row: Sequence[str]) -> tuple[Colour | None, str]:
    """The colour of a line, or what is wrong with it."""
    try:
        red, green, blue = (int(cell) for cell in row[1:4])
    except ValueError:
        return None, f"line {','.join(row)!r}; expected name,r,g,b"
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        return None, f"{row[0]} has colour {red},{green},{blue}; expected 0 to 255"
    return (red, green, blue), ""
