"""A mask file as the labels that it stands for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.errors import DataError, first_few
from fullconv.images.encoding import MaskEncoding, UInt8Array
from fullconv.images.files import open_array, opened

BAD = 254
"""Marks bytes that stand for no class, where no class has this id."""


def read_raw_mask(path: Path) -> np.ndarray:
    """A mask file as it is: ``[height, width]`` raw values, or uint8 ``[height, width, 3]`` colours.

    Raises:
        DataError: JPEG (its compression changes labels), damaged, or of an unusable kind.
    """
    if path.suffix.lower() == ".npy":
        array = open_array(path)
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{path}: holds {array.dtype} {list(array.shape)}; expected integers [height, width]")
        return array
    with opened(path) as image:
        if image.format in ("JPEG", "MPO", "WEBP") and not _lossless(image):
            raise DataError(
                f"{path}: a mask stored as {image.format}, whose compression changes labels; "
                "export the masks again as PNG"
            )
        if image.mode == "1":
            return np.array(image).astype(np.uint8)
        if image.mode in ("L", "P") or image.mode == "I" or image.mode.startswith("I;16"):
            bits = _grey_bits(image)  # Pillow stretches grey of 2 and 4 bits to 0..255; ids are wanted as they are
            return np.asarray(image) // (255 // (2**bits - 1)) if bits < 8 else np.asarray(image)
        if image.mode in ("LA", "RGB", "RGBA"):
            if _wide(image):
                raise DataError(
                    f"{path}: a colour mask of 16 bits, which would be cut to 8; save it with 8 bits, or as grey"
                )
            return np.array(image)[:, :, 0] if image.mode == "LA" else np.array(image)[:, :, :3]
        raise DataError(f"{path}: a mask of mode {image.mode}; expected an index, palette or RGB PNG")


def _grey_bits(image: Image.Image) -> int:
    """Bits per pixel of a grey file (8 where its pixels are as the file has them)."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if image.mode == "L" and tiles else ""
    return {"L;2": 2, "L;4": 4}.get(str(raw[0] if isinstance(raw, tuple) else raw), 8)


def _wide(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel, which Pillow reads as 8."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    return "16" in str(raw[0] if isinstance(raw, tuple) else raw)


def _lossless(image: Image.Image) -> bool:
    """Whether a WebP file is lossless: its pixels are in a chunk ``VP8L``."""
    file = getattr(image, "fp", None)
    if image.format != "WEBP" or file is None:
        return False
    file.seek(0)
    head: bytes = file.read(1 << 12)
    file.seek(0)
    return b"VP8L" in head and b"VP8 " not in head


def read_labels(path: Path, encoding: MaskEncoding, num_classes: int, ignore_index: int) -> np.ndarray:
    """A mask file as labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it; perhaps read-only.

    Raises:
        DataError: as :func:`read_raw_mask`, or a value or colour that stands for no class.
    """
    raw = read_raw_mask(path)
    labels = _from_colours(raw, path, encoding, ignore_index) if raw.ndim == 3 else None
    if labels is None:
        labels = _from_values(raw if raw.ndim == 2 else raw[..., 0], path, encoding, num_classes, ignore_index)
    return labels.astype(np.uint8 if ignore_index <= 255 else np.int32, copy=False)


def _from_values(
    raw: np.ndarray, path: Path, encoding: MaskEncoding, num_classes: int, ignore_index: int
) -> np.ndarray:
    mapping = dict(encoding.values) or {index: index for index in range(num_classes)}
    for value in (ignore_index,) if encoding.void_values is None else encoding.void_values:
        mapping[value] = ignore_index
    if raw.dtype == np.uint8 and ignore_index <= 255 and BAD not in mapping.values():
        labels = _from_bytes(raw, mapping)
        if labels is not None:
            return labels
    low, high = int(raw.min(initial=0)), int(raw.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(f"{path}: holds value {low if low < 0 else high}; expected ids from 0 to 65535")
    table = np.full(max(high, *mapping) + 1, -1, dtype=np.int32)
    for value, index in mapping.items():
        table[value] = index
    labels = table[raw]
    if (labels < 0).any():
        strange = sorted(int(value) for value in np.unique(raw[labels < 0]))
        raise DataError(
            f"{path}: holds {_ids(strange)} at row {int(np.argwhere(labels < 0)[0][0])}, column "
            f"{int(np.argwhere(labels < 0)[0][1])}; expected {_range(mapping)}; mend the mask, or name the "
            "classes (or values, or ignore) in dataset.yaml"
        )
    return labels


def _from_bytes(raw: UInt8Array, mapping: dict[int, int]) -> UInt8Array | None:
    """What :func:`_from_values` says, fast; None where a value stands for no class."""
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


def _ids(values: list[int]) -> str:
    return ("id " if len(values) == 1 else "ids ") + first_few([str(value) for value in values])


def _range(mapping: dict[int, int]) -> str:
    values = sorted(mapping)
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs)


def _from_colours(raw: np.ndarray, path: Path, encoding: MaskEncoding, ignore_index: int) -> np.ndarray | None:
    if not encoding.colours:
        if np.array_equal(raw[..., 0], raw[..., 1]) and np.array_equal(raw[..., 0], raw[..., 2]):
            return None  # an index mask saved as grey RGB
        raise DataError(
            f"{path}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
            "(classes: {road: [128, 64, 128], ...}), or save index masks"
        )
    packed = _pack(raw)
    mapping = {_pack_one(colour): index for colour, index in encoding.colours.items()}
    mapping.update({_pack_one(colour): ignore_index for colour in encoding.void_colours})
    keys = np.array(sorted(mapping), dtype=np.int64)
    ids = np.array([mapping[int(key)] for key in keys], dtype=np.int32)
    place = np.searchsorted(keys, packed).clip(max=len(keys) - 1)
    unknown = keys[place] != packed
    if unknown.any():
        row, column = (int(value) for value in np.argwhere(unknown)[0])
        colour = tuple(int(value) for value in raw[row, column])
        raise DataError(
            f"{path}: colour {colour} at row {row}, column {column} stands for no class "
            f"({int(unknown.sum())} such pixels); add it to dataset.yaml, or save the mask without smoothing"
        )
    return ids[place]


def _pack(colours: np.ndarray) -> np.ndarray:
    wide = colours.astype(np.int64)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _pack_one(colour: tuple[int, int, int]) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]
