"""Classes of plain masks: from a file of names beside them, else counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fullconv.errors import DataError, first_few
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import opened
from fullconv.images.masks import read_raw_mask
from fullconv.spec import ClassSet, Colour
from fullconv.text import read_text

PROBED_MASKS = 50
MOST_SPARSE = 20
NAME_FILES = (
    "classes.txt", "class_names.txt", "labels.txt", "codes.txt", "label_names.txt", "classes.names", "obj.names",
)  # fmt: skip


def names_file(root: Path) -> Path | None:
    """The file in the folder that names the classes."""
    return next((root / name for name in NAME_FILES if (root / name).is_file()), None)


def classes_from_files(
    root: Path, masks: Sequence[Path], encoding: MaskEncoding, reasons: list[str]
) -> tuple[ClassSet, MaskEncoding]:
    """Classes of a plain folder: names from a list file, else counted from the masks."""
    listing = names_file(root)
    with ThreadPoolExecutor() as pool:
        seen = set().union(*pool.map(values_of, masks if listing is None else masks[:PROBED_MASKS]))
    real, encoding = real_ids(root, seen, encoding)
    palette = _palette(masks[0])
    if listing is not None:
        names = class_names(listing)
        _refuse_ids_from_1(root, seen, encoding, names)
        reasons.append(f"class names from {listing.name}")
    else:
        names = numbered_names(root, real)
        reasons.append(
            f"class names are not given: {len(names)} classes counted from the masks (largest id {max(real)})"
        )
    return ClassSet(names, palette[: len(names)] if len(palette) >= len(names) else ()), encoding


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


def ask_about_255(root: Path, masks: Sequence[Path], encoding: MaskEncoding, names: Sequence[str] = ()) -> None:
    """Refuse masks that nobody explained: of 0 and 255, which mean one of two things, or of ids from 1.

    Raises:
        DataError: they hold nothing else, and ``dataset.yaml`` does not say what 255 is; or the ids 1 to N of the N
            classes ``names``, which are 0 to N - 1 here.
    """
    with ThreadPoolExecutor() as pool:
        seen = set().union(*pool.map(values_of, masks[:PROBED_MASKS]))
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


def values_of(mask: Path) -> set[int]:
    """All raw values of an index mask.

    Raises:
        DataError: it is in colours.
    """
    raw = read_raw_mask(mask)
    if raw.ndim == 3:
        if (raw != raw[..., :1]).any():
            raise DataError(
                f"{mask}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
                "(classes: {road: [128, 64, 128], ...}), or save index masks"
            )
        raw = raw[..., 0]
    return {int(value) for value in np.unique(raw)}


def real_ids(root: Path, seen: set[int], encoding: MaskEncoding) -> tuple[set[int], MaskEncoding]:
    """The ids that are classes, and the encoding with the value that is void.

    Args:
        root: the data set, for messages.
        seen: all values of its masks.
        encoding: what ``dataset.yaml`` says of them.

    Raises:
        DataError: 255 may be a class or void, or every pixel is void.
    """
    _ask(root, seen, encoding)
    void = {65535 if max(seen) > 255 else 255} if encoding.void_values is None else set(encoding.void_values)
    if encoding.void_values is None and void & seen:
        encoding = dataclasses.replace(encoding, void_values=tuple(void))  # 65535 is none of our ids
    real = seen - void
    if not real:
        found = first_few([str(value) for value in sorted(seen)])
        raise DataError(f"{root}: every mask pixel is void ({found}); name the classes in dataset.yaml")
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


def _palette(path: Path) -> tuple[Colour, ...]:
    """The colours of a palette PNG, so that predictions are shown in the same ones."""
    if path.suffix.lower() == ".npy":
        return ()
    with opened(path) as image:
        flat = image.getpalette() if image.mode == "P" else None
    if not flat:
        return ()
    return tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))
