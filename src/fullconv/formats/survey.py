"""How masks are read, by what some of them hold: do their colours count, or their numbers?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from fullconv.errors import DataError, first_few
from fullconv.formats.contents import Contents
from fullconv.formats.problems import Problems
from fullconv.images.encoding import UNLABELLED, Kind, MaskEncoding
from fullconv.images.masks import BIT, WHITE, colour_ids, contradiction, value_ids, void_numbers
from fullconv.spec import ClassSet, Colour


def settle(
    inspected: Sequence[Contents], encoding: MaskEncoding, classes: ClassSet, reasons: list[str], problems: Problems
) -> MaskEncoding:
    """The encoding with what the masks say of themselves: whether colours or numbers count, kind by kind of file.

    Where colours are named, they decide for every kind of file. Only grey (or palette) files whose colours are not all
    colours of classes, and whose numbers all are ids or values of classes, are read by their numbers; said in
    ``reasons``. Where numbers count, palettes must agree. Files that contradict each other, or that can be read in two
    ways, are a problem, unless there is a question already; their numbers count then.
    """
    try:
        return _settled(inspected, encoding, classes, reasons)
    except DataError as error:
        if not problems.asked():
            problems.caught("undecided", error)
        return dataclasses.replace(encoding, by_value=("grey", "palette"))


def _settled(
    inspected: Sequence[Contents], encoding: MaskEncoding, classes: ClassSet, reasons: list[str]
) -> MaskEncoding:
    count, ignore = len(classes), classes.ignore_index
    if encoding.colours:
        for kind in ("grey", "palette"):
            files = [found for found in inspected if found.mask.kind == kind and found.colours is not None]
            if files and kind not in encoding.by_value and _by_numbers(kind, files, encoding, classes):
                first = next((found for found in files if not _in_colours(found, encoding, ignore)), files[0])
                encoding = dataclasses.replace(encoding, by_value=(*encoding.by_value, kind))
                reasons.append(
                    f"{kind} masks are read as ids ({first.mask.path.name}); the classes' colours are used in pictures "
                    "alone"
                )
    _refuse_two_meanings(inspected, encoding, classes)
    _refuse_inverted(inspected, encoding)
    _refuse_bits(inspected, encoding)
    encoding = _with_palette(inspected, encoding, count, ignore)
    reasons += _said(inspected, encoding, classes)
    return encoding


def _by_numbers(kind: Kind, files: Sequence[Contents], encoding: MaskEncoding, classes: ClassSet) -> bool:
    """Whether the numbers of one kind of files count, although colours are named."""
    ignore = classes.ignore_index
    inside = [found for found in files if _in_colours(found, encoding, ignore)]
    if len(inside) == len(files) and len(set(encoding.colours.values())) == len(classes):
        return False
    if not all(set(found.values) <= set(_ids(found, encoding, classes)) for found in files):
        return False  # refused where they are read
    outside = next((found for found in files if found not in inside), files[0])
    for found in files if kind == "palette" else ():
        moved = _moved(found, encoding, classes)
        if moved:
            raise DataError(
                f"{found.path}: its palette shows {moved}, but {outside.path} has colours of no class, so that numbers "
                "would count; give all masks one palette, the colours of dataset.yaml, or write 'values: {0: NAME, "
                "...}' into it without colours in classes"
            )
    _refuse_black_and_white(kind, files, encoding, classes)
    return True


def _ids(found: Contents, encoding: MaskEncoding, classes: ClassSet) -> dict[int | float, int]:
    return value_ids(found.mask, encoding, len(classes), classes.ignore_index)


def _moved(found: Contents, encoding: MaskEncoding, classes: ClassSet) -> str:
    """In words, a value that a palette shows in the colour of another class; empty where there is none."""
    ids, colours = _ids(found, encoding, classes), colour_ids(encoding, classes.ignore_index)
    for value, colour in found.shown().items():
        own, shown = ids.get(value), colours.get(colour)
        if own is not None and shown is not None and own != shown and max(own, shown) < len(classes):
            return f"value {value}, {classes.names[own]}, in the colour of {classes.names[shown]}"
    return ""


def _in_colours(found: Contents, encoding: MaskEncoding, ignore: int) -> bool:
    known, void = set(colour_ids(encoding, ignore)), void_numbers(found.mask, encoding)
    shown = found.shown().items()
    return found.colours is not None and all(colour in known or value in void for value, colour in shown)


def _refuse_two_meanings(inspected: Sequence[Contents], encoding: MaskEncoding, classes: ClassSet) -> None:
    """Refuse palettes that show a value in another colour than its class has, where both are stated."""
    if not (encoding.colours and encoding.values and "palette" in encoding.by_value):
        return
    for found in inspected:
        moved = _moved(found, encoding, classes) if found.mask.kind == "palette" else ""
        if moved:
            raise DataError(
                f"{found.path}: its palette shows {moved}; do the values count, or the colours? Take the colours out "
                "of classes in dataset.yaml, or take values out"
            )


def _refuse_black_and_white(kind: Kind, files: Sequence[Contents], encoding: MaskEncoding, classes: ClassSet) -> None:
    """Refuse masks of 0 and 1 that may mean ids, or black and white, where that is not the same."""
    colours = colour_ids(encoding, classes.ignore_index)
    black, white = colours.get(0), colours.get(0xFFFFFF)
    if kind != "grey" or None in (black, white) or set().union(*(found.values for found in files)) != {0, BIT}:
        return
    ids = _ids(files[0], encoding, classes)
    if (ids[0], ids[BIT]) != (black, white):
        names = [
            classes.names[i] if i in range(len(classes)) else "unlabelled" for i in (black, white) if i is not None
        ]
        raise DataError(
            f"{files[0].path}: holds 0 and 1; as ids 1 is {classes.names[1]}, as black and white it is {names[1]}; "
            f"write 'values: {{0: {names[0]}, 1: {names[1]}}}' (or the other way round) into dataset.yaml"
        )


def _refuse_inverted(inspected: Sequence[Contents], encoding: MaskEncoding) -> None:
    """Refuse grey files of which some show 0 as white and others as black, where their numbers count."""
    grey = [found for found in inspected if found.mask.kind == "grey" and found.mask.white > BIT]
    ways = {found.mask.inverted: found for found in reversed(grey)}
    if len(ways) == 2 and (not encoding.colours or "grey" in encoding.by_value):
        raise DataError(
            f"{ways[True].path}: shows 0 as white (PhotometricInterpretation 0), {ways[False].path} as black; save all "
            "masks in one way, or name the classes' colours in dataset.yaml (classes: {NAME: [r, g, b], ...})"
        )


def _refuse_bits(inspected: Sequence[Contents], encoding: MaskEncoding) -> None:
    """Refuse files of one bit, whose white is 1, beside files of 0 and 255, where nobody said what white is."""
    if encoding.values or (encoding.colours and "grey" not in encoding.by_value):
        return
    grey = [found for found in inspected if found.mask.kind == "grey"]
    bits = [found for found in grey if found.mask.white == BIT and BIT in found.values]
    wide = [found for found in grey if found.mask.white == WHITE]
    seen = set().union(*(found.values for found in wide)) if wide else set()
    if bits and WHITE in seen and seen <= {0, WHITE}:
        raise DataError(
            f"{bits[0].path}: a mask of 1 bit, beside masks of 0 and 255 such as {wide[0].path}; write 'values: "
            "{0: background, 255: foreground}' into dataset.yaml, where white is a class in both"
        )


def _with_palette(inspected: Sequence[Contents], encoding: MaskEncoding, count: int, ignore: int) -> MaskEncoding:
    """The encoding with the colours that palettes show values in.

    Raises:
        DataError: two palettes show one value in different colours, and it is the values that count.
    """
    if not palettes_count(encoding):
        return encoding
    shown: dict[int, Colour] = {}
    files: dict[int, str] = {}
    for found in inspected:
        if found.mask.kind != "palette":
            continue
        ids = value_ids(found.mask, encoding, count, ignore)
        for value, colour in found.stated().items():
            if ids.get(value) == ignore:
                continue
            if value in shown and shown[value] != colour:
                raise DataError(contradiction(found.path, colour, value, shown[value], files[value]))
            shown.setdefault(value, colour)
            files.setdefault(value, found.path)
    return dataclasses.replace(encoding, palette=shown, palette_of=files)


def palettes_count(encoding: MaskEncoding) -> bool:
    """Whether palettes must agree: nobody said what values or colours are."""
    return not encoding.values and (not encoding.colours or "palette" in encoding.by_value)


def _said(inspected: Sequence[Contents], encoding: MaskEncoding, classes: ClassSet) -> Iterable[str]:
    """What is done with planes, with transparent pixels and with those that have no number."""
    for count, name in sorted({(found.planes, found.mask.plane) for found in inspected if found.planes}):
        if count not in (len(classes), len(classes) - 1):
            continue  # refused where it is read
        names = classes.names[len(classes) - count :]
        rest = "unlabelled" if count == len(classes) else classes.names[0]
        yield (
            f"masks of {count} {name}s, a 0/1 map for each class: {name} 1 is {names[0]}, the others "
            f"follow in order; what none shows is {rest}"
        )
    if any("transparent" in found.has for found in inspected) and encoding.transparent is not None:
        what = "unlabelled" if encoding.transparent == UNLABELLED else classes.names[encoding.transparent]
        yield f"transparent pixels are {what}"
    if any("missing" in found.has for found in inspected):
        yield "pixels of masks without a number (NaN, or outside GDAL's own mask) are unlabelled"
    ids = set(encoding.values or range(len(classes))) - set(encoding.void_values or ())
    empty = {found.mask.no_data for found in inspected if "no data" in found.has} - ids
    if empty:
        yield f"GDAL's no-data value ({first_few([str(value) for value in empty])}) is unlabelled"
