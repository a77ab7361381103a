"""Reading image and mask files, with every way they can be wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from fullconv.data.spec import MaskEncoding, UInt8Array
from fullconv.errors import DataError, first_few

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".npy")
MAX_PIXELS = 1 << 29
"""Larger images are refused from their header: 512 Mpixel, 1.5 GB as RGB."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns at 89 and stops at 179 Mpixel; ours, above, stops at 512
BAD = 254
"""Marks bytes that stand for no class, where no class has this id."""
ORIENTATION = 0x0112
"""EXIF's tag."""
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open with Pillow, any fault as a DataError of one line."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{path}: its header says {image.width}x{image.height} pixels, more than the limit of "
                    f"{MAX_PIXELS}; refused unread (a decompression bomb?): cut it into parts"
                )
            yield image
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not an image that can be read; save it as PNG or JPEG") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: damaged or truncated ({error}); copy or save it again") from error


def image_size(path: Path) -> tuple[int, int]:
    """``(height, width)`` as it is displayed (EXIF rotation applied), from the header alone."""
    if path.suffix.lower() == ".npy":
        height, width = _array(path).shape[:2]
        return height, width
    with opened(path) as image:
        turned = image.getexif().get(ORIENTATION, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(path: Path, channels: int = 3, shrink: int = 1) -> UInt8Array:
    """An image as uint8 ``[height, width, channels]``.

    A JPEG may be read ``shrink`` (2, 4, 8) times smaller, sides rounded up, by decoding fewer frequencies of its
    blocks: fast, and close to averaging. Other files are read whole.

    EXIF rotation is applied. 16-bit, 32-bit and float images are brought to 8 bits (16-bit by dividing by 257;
    others by their own minimum and maximum). For 3 channels grey, palette and CMYK images become RGB and an
    alpha channel is dropped. Other channel counts than 1, 3 and 4 are read from ``.npy`` arrays
    ``[height, width, channels]`` of uint8.

    Raises:
        DataError: not an image, damaged, too large, or of other channels.
    """
    if path.suffix.lower() == ".npy":
        array = _array(path)
        if array.ndim != 3 or array.shape[2] != channels or array.dtype != np.uint8:
            raise DataError(
                f"{path}: holds {array.dtype} {list(array.shape)}; expected uint8 [height, width, {channels}]"
            )
        return np.ascontiguousarray(array)
    if channels not in _MODES:
        raise DataError(f"{path}: images of {channels} channels are read from .npy files; save it as one")
    with opened(path) as image:
        plain = image.mode == "L" or (image.mode == "RGB" and channels == 3)
        if image.format in ("JPEG", "MPO") and plain and channels < 4 and image.getexif().get(ORIENTATION, 1) == 1:
            with suppress(ValueError):  # damaged, perhaps little: Pillow reads more of them
                return _read_jpeg(path, (image.height, image.width), channels, shrink)
        return to_channels(ImageOps.exif_transpose(image), channels)


def _read_jpeg(path: Path, size: tuple[int, int], channels: int, shrink: int) -> UInt8Array:
    """The pixels that Pillow decodes, without its copies."""
    content = path.getvalue() if isinstance(path, io.BytesIO) else path.read_bytes()
    height, width = (-(-side // shrink) for side in size)
    colours = "RGB" if channels == 3 else "GRAY"
    return np.asarray(simplejpeg.decode_jpeg(content, colours, min_height=height, min_width=width, min_factor=1))


def to_channels(image: Image.Image, channels: int) -> UInt8Array:
    """A PIL image of any mode as uint8 ``[height, width, channels]`` (1, 3 or 4 channels)."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray(_to_8_bits(np.asarray(image), image.mode))
    elif (image.mode == "P" and "transparency" in image.info) or image.mode in ("LA", "La", "PA"):
        image = image.convert("RGBA")
    mode = _MODES[channels]
    array = np.array(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


def _to_8_bits(values: np.ndarray, mode: str) -> UInt8Array:
    values = values.astype(np.float64)
    # PIL opens 16-bit PNGs as "I" in some versions: their range tells
    if mode.startswith("I") and values.min() >= 0 and values.max() <= 65535:
        return (values / 257).round().astype(np.uint8)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    scaled = (np.nan_to_num(values, nan=low) - low) / (high - low if high > low else 1)
    return (255 * scaled).round().astype(np.uint8)


def read_raw_mask(path: Path) -> np.ndarray:
    """A mask file as it is: ``[height, width]`` raw values, or uint8 ``[height, width, 3]`` colours.

    Raises:
        DataError: JPEG (its compression changes labels), damaged, or of an unusable kind.
    """
    if path.suffix.lower() == ".npy":
        array = _array(path)
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


def _array(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode=None if isinstance(path, io.IOBase) else "r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy array ({error}); save it again with numpy.save") from error
    if array.ndim >= 2 and array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise DataError(f"{path}: {array.shape[1]}x{array.shape[0]} pixels, more than the limit of {MAX_PIXELS}")
    return array
