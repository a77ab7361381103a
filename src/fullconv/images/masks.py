"""A mask file as the labels that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from fullconv.errors import DataError, first_few
from fullconv.images.encoded import ImageFile
from fullconv.images.encoding import UNLABELLED, MaskEncoding, UInt8Array
from fullconv.images.mask_file import NO_COLOUR, MaskFile, packed, unpacked
from fullconv.images.mask_reading import read_mask
from fullconv.images.photograph import MOSTLY, refuse_photograph, refuse_strange_colours, refuse_unnamed_colours
from fullconv.spec import Colour

BAD = 254
"""Marks bytes that stand for no class, where no class has this id."""
NO_CLASS = -1
WHITE, BIT = 255, 1


class MaskQuestion(DataError):
    """A file that may mean one thing or another: only its owner can say, in ``dataset.yaml``."""


def read_labels(path: ImageFile, encoding: MaskEncoding, num_classes: int, ignore_index: int) -> np.ndarray:
    """A mask file as labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it; perhaps read-only.

    Raises:
        DataError: as :func:`fullconv.images.mask_reading.read_mask`, or a value or colour that stands for no class.
    """
    return labels_of(read_mask(path), encoding, num_classes, ignore_index)


def labels_of(mask: MaskFile, encoding: MaskEncoding, num_classes: int, ignore_index: int) -> np.ndarray:
    """What :func:`read_labels` says, of a mask that is read already."""
    if mask.kind == "planes":
        labels = _from_planes(mask, num_classes, ignore_index)
    elif by_colour(mask, encoding):
        labels = _from_colours(mask, encoding, num_classes, ignore_index)
    else:
        labels = _from_values(mask, encoding, num_classes, ignore_index)
    return labels.astype(np.uint8 if ignore_index <= 255 else np.int32, copy=False)


def by_colour(mask: MaskFile, encoding: MaskEncoding) -> bool:
    """Whether a file's colours say what its pixels are, not its numbers: where colours are named, and it has some.

    Raises:
        DataError: it has nothing but colours, and none is named.
    """
    if mask.kind == "colour" and not encoding.colours and mask.grey_values() is None:
        refuse_unnamed_colours(mask)
        raise DataError(no_colours(mask.path))
    shown = mask.kind in ("colour", "palette") or mask.white > 0
    return bool(encoding.colours) and shown and mask.kind not in encoding.by_value


def no_colours(path: ImageFile) -> str:
    """The line about colours that nobody named."""
    return (
        f"{path}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
        "(classes: {road: [128, 64, 128], ...}), or save index masks"
    )


def asks_about_no_data(path: ImageFile, value: float, name: str) -> str:
    """The question what GDAL's no-data value means where it is an id, too."""
    return (
        f"{path}: GDAL's no-data value is {value}, which is {name} too; write 'ignore: [{value}]' into dataset.yaml "
        f"(no data: unlabelled), or 'values: {{{value}: NAME, ...}}' (a class)"
    )


def colour_ids(encoding: MaskEncoding, ignore_index: int) -> dict[int | float, int]:
    """The label of each colour, by :func:`packed`."""
    known: dict[Colour, int] = {**encoding.colours, **dict.fromkeys(encoding.void_colours, ignore_index)}
    return {int(packed(np.array(colour))): index for colour, index in known.items()}


def void_numbers(mask: MaskFile, encoding: MaskEncoding) -> set[int | float]:
    """Numbers of an index file that are void, whatever colour it shows them in, unless that is a class's."""
    return {*(encoding.void_values or ()), *(() if mask.no_data is None else (mask.no_data,))}


def value_ids(mask: MaskFile, encoding: MaskEncoding, num_classes: int, ignore_index: int) -> dict[int | float, int]:
    """The label of each value of a file.

    Raises:
        DataError: GDAL calls a value no data that may be a class.
    """
    mapping: dict[int | float, int] = dict(encoding.values.items()) or {index: index for index in range(num_classes)}
    if mask.white == BIT and encoding.values and BIT not in mapping and WHITE in mapping:
        mapping[BIT] = mapping[WHITE]  # a file of one bit beside those of eight
    for value in (ignore_index,) if encoding.void_values is None else encoding.void_values:
        mapping[value] = ignore_index
    empty = mask.no_data
    if empty is not None and empty in mapping and mapping[empty] != ignore_index:
        if encoding.void_values is None and not encoding.values and (mask.stored == empty).any():
            raise MaskQuestion(asks_about_no_data(mask.path, empty, f"class {mapping[empty]}"))
    elif empty is not None:
        mapping[empty] = ignore_index
    return mapping


def see_through(mask: MaskFile, encoding: MaskEncoding, ignore_index: int, labels: np.ndarray) -> np.ndarray:
    """Labels with those of transparent pixels, and of pixels without a number.

    Raises:
        DataError: there are transparent pixels, and nobody said what they are.
    """
    clear = mask.transparent
    if clear is not None and not (mask.keyed and not by_colour(mask, encoding)):
        if encoding.transparent is None:
            row, column = (int(place) for place in np.argwhere(clear)[0])
            raise MaskQuestion(
                f"{mask.path}: {int(clear.sum())} pixels are transparent, first at row {row}, column {column}; what "
                "are they? Write 'transparent: ignore' (unlabelled) or 'transparent: CLASS' into dataset.yaml"
            )
        index = ignore_index if encoding.transparent == UNLABELLED else encoding.transparent
        labels = np.where(clear, index, labels)
    return labels if mask.missing is None else np.where(mask.missing, ignore_index, labels)


def _from_planes(mask: MaskFile, num_classes: int, ignore_index: int) -> np.ndarray:
    """A map for each class, or for each but class 0, which is the rest then."""
    count = len(mask.stored)
    if count not in (num_classes, num_classes - 1):
        raise DataError(
            f"{mask.path}: holds {count} {mask.plane}s, 0/1 maps, for {num_classes} classes; expected one {mask.plane} "
            f"for each class, or for each but the first (what no {mask.plane} shows), or a map of ids"
        )
    rest = ignore_index if count == num_classes else 0
    labels = np.full(mask.size, rest, np.int32)
    for place, plane in enumerate(mask.stored):
        labels[plane] = place + num_classes - count
    return labels if mask.missing is None else np.where(mask.missing, ignore_index, labels)


def _from_values(mask: MaskFile, encoding: MaskEncoding, num_classes: int, ignore_index: int) -> np.ndarray:
    raw = mask.grey_values()
    assert raw is not None
    mapping = value_ids(mask, encoding, num_classes, ignore_index)
    if mask.palette is not None and encoding.palette:
        _refuse_other_palette(mask, encoding, mask.palette, raw)
    labels = None
    if raw.dtype == np.uint8 and ignore_index <= 255 and BAD not in mapping.values():
        labels = _from_bytes(raw, {key: index for key, index in mapping.items() if key in range(256)})
    if labels is None:
        labels = looked_up(raw, mapping)
        stray = labels == NO_CLASS
        if mask.missing is not None:
            stray &= ~mask.missing
        if stray.any():
            if stray.mean() > MOSTLY:
                refuse_photograph(mask)
            raise DataError(_strange(mask.path, raw, stray, mapping, _named(encoding, num_classes)))
    return see_through(mask, encoding, ignore_index, labels)


def looked_up(raw: np.ndarray, mapping: Mapping[int | float, int]) -> np.ndarray:
    """The label of each value, int32; :data:`NO_CLASS` where it has none."""
    floats = raw.dtype.kind == "f"
    kind = raw.dtype if floats else np.dtype(np.int64)
    order = sorted(key for key in mapping if floats or (float(key).is_integer() and abs(key) < 1 << 62))
    with np.errstate(over="ignore"):
        keys = np.array(order).astype(kind)
    ids = np.array([mapping[key] for key in order], np.int32)
    wide = raw.astype(kind)
    place = np.searchsorted(keys, wide).clip(max=len(keys) - 1)
    return np.where(keys[place] == wide, ids[place], NO_CLASS)


def _from_bytes(raw: UInt8Array, mapping: Mapping[int | float, int]) -> UInt8Array | None:
    """What :func:`looked_up` says, fast; None where a value stands for no class."""
    table, gap = _byte_table(tuple(mapping.items()))
    if gap is not None:  # values are ids, all but those of the gap
        return None if (raw - np.uint8(gap.start) < np.uint8(len(gap))).any() else raw  # the difference wraps
    labels = np.take(table, raw)
    return None if (labels == BAD).any() else labels


@lru_cache
def _byte_table(mapping: tuple[tuple[int, int], ...]) -> tuple[UInt8Array, range | None]:
    """The class of each byte; the range without one, if all other values are ids already."""
    table = np.full(256, BAD, np.uint8)
    for value, index in mapping:
        table[value] = index
    known = np.flatnonzero(table != BAD)
    gap = sorted(set(range(256)) - set(known.tolist()))
    plain = gap and np.array_equal(table[known], known) and len(gap) == gap[-1] - gap[0] + 1
    return table, range(gap[0], gap[-1] + 1) if plain else None


def _refuse_other_palette(mask: MaskFile, encoding: MaskEncoding, palette: UInt8Array, raw: np.ndarray) -> None:
    """Refuse a palette that shows a value in another colour than the other files of the data set."""
    other = [
        value
        for value, colour in encoding.palette.items()
        if value < len(palette) and tuple(palette[value].tolist()) != colour
    ]
    used = [value for value in other if (raw == value).any()] if other else []
    if used:
        raise MaskQuestion(
            contradiction(str(mask.path), tuple(palette[used[0]].tolist()), used[0], encoding.palette[used[0]],
                          encoding.palette_of[used[0]])
        )  # fmt: skip


def contradiction(first: str, colour: tuple[int, ...], value: int, other: tuple[int, ...], second: str) -> str:
    """The line about two palettes that show one value in different colours."""
    return (
        f"{first}: its palette shows value {value} as {colour}, that of {second} as {other}; do the values count, or "
        "the colours? Write 'values: {0: NAME, ...}' or 'classes: {NAME: [r, g, b], ...}' into dataset.yaml"
    )


def _named(encoding: MaskEncoding, num_classes: int) -> str:
    """``, as classes.txt names 3 classes``; empty where no file names them."""
    count = f"{num_classes} class{'' if num_classes == 1 else 'es'}"
    return f", as {encoding.named_in} names {count}" if encoding.named_in else ""


def _strange(
    path: ImageFile, raw: np.ndarray, stray: np.ndarray, mapping: Mapping[int | float, int], named: str
) -> str:
    values = [value.item() for value in np.unique(raw[stray])]
    row, column = (int(place) for place in np.argwhere(stray)[0])
    return (
        f"{path}: holds {_ids(values)} at row {row}, column {column}; expected {_range(mapping)}{named}; fix the mask, "
        "or name the classes (or values, or ignore) in dataset.yaml"
    )


def _ids(values: list[int | float]) -> str:
    return ("id " if len(values) == 1 else "ids ") + first_few([str(value) for value in values])


def _range(mapping: Mapping[int | float, int]) -> str:
    runs: list[list[int | float]] = []
    for value in sorted(mapping):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs)


def _from_colours(mask: MaskFile, encoding: MaskEncoding, num_classes: int, ignore_index: int) -> np.ndarray:
    ids = colour_ids(encoding, ignore_index)
    shades = mask.shades() if mask.kind != "colour" else None
    if shades is None:
        numbers = packed(mask.stored).ravel()
        starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))  # neighbours are mostly of one colour
        found = looked_up(numbers[starts], ids)
        labels = np.repeat(found, np.diff(starts, append=len(numbers))).reshape(mask.size)
    else:
        table = looked_up(shades, ids)
        for value in void_numbers(mask, encoding):
            if value in range(len(table)) and table[int(value)] == NO_CLASS:
                table[int(value)] = ignore_index
        labels = table[mask.stored]
    stray = labels == NO_CLASS
    for excused in (mask.transparent, mask.missing):
        if excused is not None:
            stray &= ~excused
    if stray.any():
        row, column = (int(value) for value in np.argwhere(stray)[0])
        refuse_strange_colours(mask, stray)
        raise DataError(
            f"{mask.path}: {_colour_at(mask, shades, row, column)} at row {row}, column {column} stands for no class "
            f"({int(stray.sum())} such pixels){_named(encoding, num_classes)}; add it to "
            f"{encoding.named_in or 'dataset.yaml'}, or save the mask without smoothing"
            + (
                ""
                if shades is None
                else ", or, if its numbers are ids, write 'values: {0: NAME, ...}' into dataset.yaml"
            )
        )
    return see_through(mask, encoding, ignore_index, labels)


def _colour_at(mask: MaskFile, shades: np.ndarray | None, row: int, column: int) -> str:
    if shades is None:
        return f"colour {tuple(int(value) for value in mask.stored[row, column])}"
    value = int(mask.stored[row, column])
    shade = int(shades[value])
    return f"value {value}, without a colour," if shade == NO_COLOUR else f"colour {unpacked(shade)} (value {value})"
