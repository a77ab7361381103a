"""Classes of plain masks: from a file of names beside them, else counted."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fullconv.errors import first_few, plural
from fullconv.formats.colour_classes import classes_by_colour, coloured
from fullconv.formats.contents import Contents
from fullconv.formats.inspecting import PROBED_MASKS, inspect_masks
from fullconv.formats.missing_names import refuse_missing_names
from fullconv.formats.problems import Problems
from fullconv.formats.survey import settle
from fullconv.images.encoding import MaskEncoding
from fullconv.images.masks import MaskQuestion, asks_about_no_data
from fullconv.spec import ClassSet
from fullconv.text import read_text

MOST_SPARSE = 20
MOST_VALUES = 1000
"""Classes that are made of values, where nobody named them."""
NAME_FILES = (
    "classes.txt", "class_names.txt", "labels.txt", "codes.txt", "label_names.txt", "classes.names", "obj.names",
    "labelmap.txt", "label_map.txt",
)  # fmt: skip
NOT_GIVEN = "class names are not given"


def names_file(root: Path) -> Path | None:
    """The file in the folder that names the classes."""
    return next((root / name for name in NAME_FILES if (root / name).is_file()), None)


def classes_from_files(
    root: Path, masks: Sequence[Path], encoding: MaskEncoding, reasons: list[str], problems: Problems
) -> tuple[ClassSet, MaskEncoding]:
    """Classes of a plain folder: names from a list file, else counted from the masks."""
    listing, given = names_file(root), encoding
    names = class_names(listing, problems) if listing is not None else ()
    known = (encoding, len(names)) if names else None
    inspected = inspect_masks(masks, problems, len(masks) if listing is None else PROBED_MASKS, known=known)
    if names and listing is not None and not coloured(inspected):
        seen = values_of(inspected)
        if seen:
            _, encoding = real_ids(root, inspected, encoding, problems)
        if not problems.asked():
            _ask_about_ids_from_1(root, seen, encoding, names, problems, listing.name)
        reasons.append(f"class names from {listing.name}")
        encoding = dataclasses.replace(encoding, named_in=listing.name)
        refuse_missing_names(root, masks, inspected, encoding, names, problems)
        classes = in_their_colours(ClassSet(names), inspected, encoding)
    else:
        unused = f"{listing.name} names {len(names)} without colours, and " if names and listing is not None else ""
        classes, encoding = classes_from_masks(root, inspected, encoding, problems, unused)
        count = f": {plural(len(classes), 'class')} counted from the masks (largest id {len(classes) - 1})"
        if not (coloured(inspected) or any(len(found.values) or found.planes for found in inspected)):
            count = ", and no mask could be read to count classes"
        elif listing is None:
            count += f"; name them in {root / 'classes.txt'}, one a line, or as 'classes' in dataset.yaml"
        reasons += [] if problems.asked() else [f"{NOT_GIVEN}{count}"]
    if given.void_values is None and encoding.void_values:
        void = ", ".join(str(value) for value in encoding.void_values)
        reasons.append(f"mask value {void} is taken as unlabelled; say otherwise in dataset.yaml (values, ignore)")
    return classes, settle(inspected, encoding, classes, reasons, problems)


def class_names(listing: Path, problems: Problems) -> tuple[str, ...]:
    """The names of a file of one class a line, for the ids 0, 1, 2, ...; none where it cannot be read.

    An empty line between others, a name twice or one with control characters is a problem; the line keeps its id.
    """
    names = list[str]()
    with problems.catching("classes"):
        names = [line.strip() for line in read_text(listing).rstrip().splitlines()] or [""]
    wrong = [_wrong_name(names, number) for number in range(len(names))]
    for line in filter(None, wrong):
        fix = "expected a name a line, for the ids 0, 1, 2, ... in order; correct it"
        problems.report("classes", f"{listing}: {line}", fix)
    return tuple(f"line {n + 1}" if wrong[n] else name for n, name in enumerate(names)) if any(names) else ()


def _wrong_name(lines: Sequence[str], number: int) -> str:
    name = lines[number]
    if not name:
        return f"line {number + 1} is empty"
    if name in lines[:number]:
        return f"names {name!r} twice"
    control = any(unicodedata.category(letter) == "Cc" for letter in name)
    return f"line {number + 1}, {name!r}, holds control characters" if control else ""


def classes_from_masks(
    root: Path, inspected: Sequence[Contents], encoding: MaskEncoding, problems: Problems, unused: str = ""
) -> tuple[ClassSet, MaskEncoding]:
    """``class_0`` and so on, as many as masks hold, and the encoding with the value that is void.

    Where masks do not say what their classes are, that is a problem, and each value or frequent colour is a class.
    ``unused``: what a file says that is of no use where masks are coloured, for that problem.
    """
    if coloured(inspected):
        return classes_by_colour(root, inspected, encoding, problems, unused)
    planes = max((found.planes for found in inspected), default=0)
    whole = all(found.covered for found in inspected if found.planes)  # then a map for each class, and no rest
    real = {planes - whole} if planes else set[int]()
    seen = values_of(inspected)
    if seen or not planes:
        if _ask(root, seen, encoding, problems):
            return _by_value(seen, encoding)
        more, encoding = real_ids(root, inspected, encoding, problems)
        real |= more
    if not real:
        return ClassSet(("unknown",)), encoding
    largest = max(real)
    if largest > MOST_SPARSE and len(real) < largest / 2:
        problems.report(
            "undecided",
            f"{root}: the masks hold {len(real)} different ids up to {largest}; are these classes, instances, or "
            "smoothed edges?",
            "Name the classes (and values) in dataset.yaml, such as 'values: {0: ground, 128: road}'",
        )
        return _by_value(real, encoding)
    classes = ClassSet(tuple(f"class_{index}" for index in range(largest + 1)))
    return in_their_colours(classes, inspected, encoding), encoding


def _by_value(values: set[int], encoding: MaskEncoding) -> tuple[ClassSet, MaskEncoding]:
    """A class for each value, as far as there are not too many; the others are void."""
    order = sorted(values)
    chosen, void = order[:MOST_VALUES], (*(encoding.void_values or ()), *order[MOST_VALUES:])
    ids = {value: index for index, value in enumerate(chosen)}
    return ClassSet(tuple(f"value_{value}" for value in chosen)), dataclasses.replace(
        encoding, values=ids, void_values=void
    )


def ask_about_values(
    root: Path, inspected: Sequence[Contents], encoding: MaskEncoding, names: Sequence[str], problems: Problems
) -> None:
    """Ask about masks that nobody explained: of 0 and 255 only, or of the ids 1 to N of the N classes ``names``."""
    seen = {int(value) for found in inspected for value in found.values}
    if not problems.asked() and not _ask(root, seen, encoding, problems):
        _ask_about_ids_from_1(root, seen, encoding, names, problems, encoding.named_in)


def _ask_about_ids_from_1(
    root: Path, seen: set[int], encoding: MaskEncoding, names: Sequence[str], problems: Problems, named_in: str
) -> None:
    """Left as they are, the last class would be out of range, and all others one class off."""
    ids = seen - {255, 65535} - set(encoding.void_values or ())
    if encoding.values or encoding.colours or not names or not ids or min(ids) < 1 or max(ids) != len(names):
        return
    line = f"values: {{{', '.join(f'{number}: {name}' for number, name in enumerate(names, 1))}}}"
    problems.report(
        "undecided",
        f"{root}: the masks hold ids up to {len(names)} and no 0, but the {len(names)} classes"
        + (f" of {named_in}" if named_in else "")
        + f" are 0 to {len(names) - 1}",
        f"write '{line}' into {root / 'dataset.yaml'}, or name class 0 first",
    )


def values_of(inspected: Sequence[Contents]) -> set[int]:
    """All raw values of index masks."""
    return {int(value) for found in inspected for value in found.values}


def real_ids(
    root: Path, inspected: Sequence[Contents], encoding: MaskEncoding, problems: Problems
) -> tuple[set[int], MaskEncoding]:
    """The ids that are classes, and the encoding with the value that is void.

    A problem is where 255 or GDAL's no-data value may be a class or void, a value below 0, and that every pixel is
    void.

    Args:
        root: the data set, for messages.
        inspected: what its masks hold.
        encoding: what ``dataset.yaml`` says of them.
    """
    seen = values_of(inspected)
    _ask(root, seen, encoding, problems)
    void: set[int | float] = {65535 if max(seen, default=0) > 255 else 255}
    void = void if encoding.void_values is None else set(encoding.void_values)
    if encoding.void_values is None and void & seen:
        encoding = dataclasses.replace(encoding, void_values=tuple(void))  # 65535 is none of our ids
    for found in inspected:
        empty = found.mask.no_data
        if empty is not None and "no data" in found.has and empty not in void:
            if empty >= 0 and encoding.void_values is None:
                question = MaskQuestion(asks_about_no_data(found.mask.path, empty, f"class_{empty}"))
                problems.caught("undecided", question)
                void |= {empty}
                encoding = dataclasses.replace(encoding, void_values=tuple(void))
            void = void | {empty} if empty < 0 else void
    below = sorted(value for value in seen - void if value < 0)
    if below:
        problems.report(
            "undecided", f"{root}: the masks hold {first_few([str(value) for value in below])}; ids begin at 0",
            f"write 'ignore: {below[:MOST_SPARSE]}' into {root / 'dataset.yaml'} if these pixels have no label, else "
            "name the classes and their values",
        )  # fmt: skip
        void |= set(below)
        encoding = dataclasses.replace(encoding, void_values=tuple(void))
    real = {int(value) for value in seen - void}
    if not real and (inspected or not problems.found):
        shown = first_few([str(value) for value in sorted(seen)])
        problems.report("undecided", f"{root}: every mask pixel is void ({shown})", "name the classes in dataset.yaml")
    return real, encoding


def _ask(root: Path, seen: set[int], encoding: MaskEncoding, problems: Problems) -> bool:
    """Ask what 255 is, where masks hold 0 and 255 only and nobody said it."""
    if seen != {0, 255} or encoding.values or encoding.void_values is not None:
        return False
    problems.report(
        "undecided", f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled?",
        f"write one of these lines into {root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' "
        "(a class), or 'ignore: [255]' (unlabelled)",
    )  # fmt: skip
    return True


def in_their_colours(classes: ClassSet, inspected: Sequence[Contents], encoding: MaskEncoding) -> ClassSet:
    """Classes in the colours that masks are read by, else that their palettes show, as predictions are then too.

    Not where a palette is only grey, as programs write it that never thought of colours, or has one colour twice.
    """
    tables = [found.mask.palette for found in inspected if found.mask.palette is not None]
    if encoding.colours:
        read_by = {index: colour for colour, index in reversed(list(encoding.colours.items()))}
        known = [read_by[index] for index in range(len(classes)) if index in read_by]
        return dataclasses.replace(classes, palette=tuple(known)) if len(known) == len(classes) else classes
    if not tables:
        return classes
    table = max(tables, key=len)
    numbers = {index: value for value, index in encoding.values.items()}
    used = [numbers.get(index, index) for index in range(len(classes))]
    if not all(0 <= number < len(table) for number in used):
        return classes
    colours = table[used]
    if (colours == colours[:, :1]).all() or len(np.unique(colours, axis=0)) < len(classes):
        return classes
    red, green, blue = colours.T.tolist()
    return dataclasses.replace(classes, palette=tuple(zip(red, green, blue, strict=True)))
