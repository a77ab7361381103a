"""Classes of plain masks: from a file of names beside them, else counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fullconv.errors import DataError, first_few
from fullconv.formats.survey import PROBED_MASKS, Contents, inspect_masks, settle
from fullconv.images.encoding import MaskEncoding
from fullconv.images.masks import asks_about_no_data, no_colours
from fullconv.spec import ClassSet
from fullconv.text import read_text

MOST_SPARSE = 20
NAME_FILES = (
    "classes.txt", "class_names.txt", "labels.txt", "codes.txt", "label_names.txt", "classes.names", "obj.names",
    "labelmap.txt", "label_map.txt",
)  # fmt: skip


def names_file(root: Path) -> Path | None:
    """The file in the folder that names the classes."""
    return next((root / name for name in NAME_FILES if (root / name).is_file()), None)


def classes_from_files(
    root: Path, masks: Sequence[Path], encoding: MaskEncoding, reasons: list[str]
) -> tuple[ClassSet, MaskEncoding]:
    """Classes of a plain folder: names from a list file, else counted from the masks."""
    listing, given = names_file(root), encoding
    inspected = inspect_masks(masks, len(masks) if listing is None else PROBED_MASKS, strict=True)
    seen = values_of(inspected)
    if listing is not None:
        names = class_names(listing)
        if seen:
            _, encoding = real_ids(root, inspected, encoding)
        _refuse_ids_from_1(root, seen, encoding, names)
        reasons.append(f"class names from {listing.name}")
    else:
        names, encoding = names_from_masks(root, inspected, encoding)
        reasons.append(
            f"class names are not given: {len(names)} classes counted from the masks (largest id {len(names) - 1})"
        )
    if given.void_values is None and encoding.void_values:
        void = ", ".join(str(value) for value in encoding.void_values)
        reasons.append(f"mask value {void} is taken as unlabelled; say otherwise in dataset.yaml (values, ignore)")
    classes = in_their_colours(ClassSet(names), inspected, encoding)
    return classes, settle(inspected, encoding, classes, reasons)


def names_from_masks(
    root: Path, inspected: Sequence[Contents], encoding: MaskEncoding
) -> tuple[tuple[str, ...], MaskEncoding]:
    """``class_0`` and so on, as many as masks hold, and the encoding with the value that is void.

    Raises:
        DataError: as :func:`real_ids` and :func:`numbered_names`.
    """
    planes = max((found.planes for found in inspected), default=0)
    whole = all(found.covered for found in inspected if found.planes)  # then a map for each class, and no rest
    real = {planes - whole} if planes else set[int]()
    if values_of(inspected) or not planes:
        more, encoding = real_ids(root, inspected, encoding)
        real |= more
    return numbered_names(root, real), encoding


def class_names(listing: Path) -> tuple[str, ...]:
    """The names of a file of one class a line, for the ids 0, 1, 2, ...

    Raises:
        DataError: an empty line between others, or a name twice.
    """
    names = [line.strip() for line in read_text(listing).rstrip().splitlines()] or [""]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not all(names) or twice:
        wrong = f"names {twice[0]!r} twice" if all(names) else f"line {names.index('') + 1} is empty"
        raise DataError(f"{listing}: {wrong}; expected a name a line, for the ids 0, 1, 2, ... in order; correct it")
    return tuple(names)


def ask_about_255(root: Path, inspected: Sequence[Contents], encoding: MaskEncoding, names: Sequence[str] = ()) -> None:
    """Refuse masks that nobody explained: of 0 and 255, which mean one of two things, or of ids from 1.

    Raises:
        DataError: they hold nothing else, and ``dataset.yaml`` does not say what 255 is; or the ids 1 to N of the N
            classes ``names``, which are 0 to N - 1 here.
    """
    seen = {int(value) for found in inspected for value in found.values}
    _ask(root, seen, encoding)
    _refuse_ids_from_1(root, seen, encoding, names)


def values_from_1(seen: set[int], encoding: MaskEncoding, names: Sequence[str]) -> str:
    """The line of ``dataset.yaml`` for masks that hold the ids 1 to N of N named classes; empty for others.

    Left as they are, the last class would be out of range, and all others one class off.
    """
    ids = seen - {255, 65535} - set(encoding.void_values or ())
    if encoding.values or encoding.colours or not names or not ids or min(ids) < 1 or max(ids) != len(names):
        return ""
    return f"values: {{{', '.join(f'{number}: {name}' for number, name in enumerate(names, 1))}}}"


def _refuse_ids_from_1(root: Path, seen: set[int], encoding: MaskEncoding, names: Sequence[str]) -> None:
    line = values_from_1(seen, encoding, names)
    if line:
        raise DataError(
            f"{root}: the masks hold ids up to {len(names)} and no 0, but the {len(names)} classes are 0 to "
            f"{len(names) - 1}: write '{line}' into {root / 'dataset.yaml'}, or name class 0 first"
        )


def values_of(inspected: Sequence[Contents]) -> set[int]:
    """All raw values of index masks.

    Raises:
        DataError: one is in colours.
    """
    coloured = next((found for found in inspected if found.mask.kind == "colour" and not found.values), None)
    if coloured is not None:
        raise DataError(no_colours(coloured.mask.path))
    return {int(value) for found in inspected for value in found.values}


def real_ids(root: Path, inspected: Sequence[Contents], encoding: MaskEncoding) -> tuple[set[int], MaskEncoding]:
    """The ids that are classes, and the encoding with the value that is void.

    Args:
        root: the data set, for messages.
        inspected: what its masks hold.
        encoding: what ``dataset.yaml`` says of them.

    Raises:
        DataError: 255 or GDAL's no-data value may be a class or void, there is a value below 0, or every pixel is void.
    """
    seen = values_of(inspected)
    _ask(root, seen, encoding)
    void: set[int | float] = {65535 if max(seen, default=0) > 255 else 255}
    void = void if encoding.void_values is None else set(encoding.void_values)
    if encoding.void_values is None and void & seen:
        encoding = dataclasses.replace(encoding, void_values=tuple(void))  # 65535 is none of our ids
    for found in inspected:
        empty = found.mask.no_data
        if empty is not None and "no data" in found.has and empty not in void:
            if empty >= 0 and encoding.void_values is None:
                raise DataError(asks_about_no_data(found.mask.path, empty, f"class_{empty}"))
            void = void | {empty} if empty < 0 else void
    real = seen - void
    if real and min(real) < 0:
        raise DataError(
            f"{root}: the masks hold {min(real)}; ids begin at 0: write 'ignore: [{min(real)}]' into "
            f"{root / 'dataset.yaml'} if these pixels have no label, else name the classes and their values"
        )
    if not real:
        shown = first_few([str(value) for value in sorted(seen)])
        raise DataError(f"{root}: every mask pixel is void ({shown}); name the classes in dataset.yaml")
    return real, encoding


def numbered_names(root: Path, real: set[int]) -> tuple[str, ...]:
    """``class_0`` and so on, up to the largest id.

    Raises:
        DataError: the ids are too far apart to be those of classes.
    """
    largest = max(real)
    if largest > MOST_SPARSE and len(real) < largest / 2:
        raise DataError(
            f"{root}: the masks hold {len(real)} different ids up to {largest}; are these classes, instances, or "
            "smoothed edges? Name the classes (and values) in dataset.yaml"
        )
    return tuple(f"class_{index}" for index in range(largest + 1))


def _ask(root: Path, seen: set[int], encoding: MaskEncoding) -> None:
    if seen == {0, 255} and not encoding.values and encoding.void_values is None:
        raise DataError(
            f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled? Write one of these lines into "
            f"{root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' (a class), or "
            "'ignore: [255]' (unlabelled)"
        )


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
