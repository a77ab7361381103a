"""Classes of plain masks: from a file of names beside them, else counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fullconv.data.decode import opened, read_raw_mask
from fullconv.data.spec import MaskEncoding
from fullconv.errors import DataError, first_few
from fullconv.spec import ClassSet, Colour

PROBED_MASKS = 50
NAME_FILES = ("classes.txt", "labels.txt", "codes.txt", "class_names.txt")


def names_are_given(root: Path) -> bool:
    """Whether a file in the folder names the classes."""
    return any((root / name).is_file() for name in NAME_FILES)


def classes_from_files(
    root: Path, masks: Sequence[Path], encoding: MaskEncoding, reasons: list[str]
) -> tuple[ClassSet, MaskEncoding]:
    """Classes of a plain folder: names from a list file, else counted from the masks."""
    seen = _values_in(masks)
    _ask(root, seen, encoding)
    void = {65535 if max(seen) > 255 else 255} if encoding.void_values is None else set(encoding.void_values)
    if encoding.void_values is None and void & seen:
        encoding = dataclasses.replace(encoding, void_values=tuple(void))  # 65535 is none of our ids
    real = seen - void
    if not real:
        raise DataError(f"{masks[0].parent}: every mask pixel is void ({first_few([str(v) for v in sorted(seen)])})")
    palette = _palette(masks[0])
    listing = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if listing is not None:
        lines = listing.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
        reasons.append(f"class names from {listing.name}")
    else:
        largest = max(real)
        if largest > 20 and len(real) < largest / 2:
            raise DataError(
                f"{masks[0].parent}: the masks hold {len(real)} different ids up to {largest}; are these classes, "
                "instances, or smoothed edges? Name the classes (and values) in dataset.yaml"
            )
        names = tuple(f"class_{index}" for index in range(largest + 1))
        reasons.append(f"class names are not given: {len(names)} classes counted from the masks (largest id {largest})")
    return ClassSet(names, palette[: len(names)] if len(palette) >= len(names) else ()), encoding


def ask_about_255(root: Path, masks: Sequence[Path], encoding: MaskEncoding) -> None:
    """Refuse masks of 0 and 255 that nobody explained.

    Raises:
        DataError: they hold nothing else, and ``dataset.yaml`` does not say what 255 is.
    """
    _ask(root, _values_in(masks[:PROBED_MASKS]), encoding)


def _ask(root: Path, seen: set[int], encoding: MaskEncoding) -> None:
    """Masks of 0 and 255 only mean one of two things, and only their owner knows which."""
    if seen == {0, 255} and not encoding.values and encoding.void_values is None:
        raise DataError(
            f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled? Write one of these lines into "
            f"{root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' (a class), or "
            "'ignore: [255]' (unlabelled)"
        )


def _values_in(paths: Sequence[Path]) -> set[int]:
    """All raw values of index masks."""

    def values(path: Path) -> set[int]:
        raw = read_raw_mask(path)
        if raw.ndim == 3:
            if not (np.array_equal(raw[..., 0], raw[..., 1]) and np.array_equal(raw[..., 0], raw[..., 2])):
                raise DataError(
                    f"{path}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
                    "(classes: {road: [128, 64, 128], ...}), or save index masks"
                )
            raw = raw[..., 0]
        return {int(value) for value in np.unique(raw)}

    with ThreadPoolExecutor() as pool:
        return set().union(*pool.map(values, paths))


def _palette(path: Path) -> tuple[Colour, ...]:
    """The colours of a palette PNG, so that predictions are shown in the same ones."""
    if path.suffix.lower() == ".npy":
        return ()
    with opened(path) as image:
        flat = image.getpalette() if image.mode == "P" else None
    if not flat:
        return ()
    return tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))
