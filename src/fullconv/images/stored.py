"""The values that an image file stores, as they are: of any type, and any number of bands."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
from PIL import Image

from fullconv.errors import DataError
from fullconv.images.damage import damaged
from fullconv.images.encoded import ImageFile, content_of
from fullconv.images.files import MAX_PIXELS, ORIENTATION, open_array, open_image
from fullconv.images.formats import refuse_large
from fullconv.images.orientation import upright
from fullconv.images.tiff_image import TiffHeader, read_tiff, tiff_header

MOST_VALUES = 4 * MAX_PIXELS
"""Of all bands together."""
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Of Pillow, with more than 8 bits."""
PNM = re.compile(rb"P([2356])(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s")


class Kind(NamedTuple):
    """What an image file holds, from its header: type of its values, bands but for alpha, alpha, nodata, names of its
    channels (OME).
    """

    dtype: str
    bands: int
    alpha: bool = False
    nodata: float | None = None
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.bands} band{'s' if self.bands > 1 else ''} of {self.dtype}"


class Stored(NamedTuple):
    """The values of a file.

    Attributes:
        array: ``[height, width, samples]``, turned as EXIF says.
        alpha: which samples are alpha.
        nodata: the value that the file itself says holds nothing.
    """

    array: np.ndarray
    alpha: tuple[int, ...] = ()
    nodata: float | None = None


def kind_of(path: ImageFile) -> Kind:
    """From the header alone.

    Raises:
        DataError: not an image, or a stack of pages.
    """
    if path.suffix.lower() == ".npy":
        array = open_array(path)
        return Kind(array.dtype.newbyteorder("=").name, array.shape[2] if array.ndim == 3 else 1)
    header = tiff_header(path)
    if header is not None and not header.plain:
        return Kind(header.dtype, header.samples - len(header.alpha), bool(header.alpha), header.nodata, header.names)
    with open_image(path) as image:
        mode = image.mode
        alpha = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
        grey = mode in ("1", "L", "LA", "La") or mode in WIDE_MODES or _raw_mode(image).startswith("LA")
        bands = 1 if grey else 3
        dtype = {"F": "float32", "I": "int32"}.get(mode, "uint16" if is_wide(image) else "uint8")
        if mode == "I" and _is_pnm(image):
            dtype = "uint16"
        nodata, names = (header.nodata, header.names) if header else (None, ())
        return Kind(dtype, bands, alpha, nodata, names)


def is_wide(image: Image.Image) -> bool:
    """Whether the file has more than 8 bits a channel; of several channels Pillow shows 8 of them only."""
    if image.mode in WIDE_MODES:
        return True
    return _raw_mode(image).endswith((";16B", ";16L", ";16N")) or (_is_pnm(image) and _pnm_depth(image) > 255)


def _raw_mode(image: Image.Image) -> str:
    """How an open file has its pixels, as Pillow calls it."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    return str(raw[0] if isinstance(raw, tuple) and raw else raw)


def read_wide(path: ImageFile, channels: int) -> Stored:
    """The values of a file that is not read as 8-bit colours.

    Args:
        channels: how many are wanted; pages of one sample each are taken for bands where they are as many.

    Raises:
        DataError: damaged, too large, or of a kind that is not read.
    """
    if path.suffix.lower() == ".npy":
        return _array(path)
    header = tiff_header(path)
    if header is not None:
        return _tiff(path, header, channels)
    with open_image(path) as image:
        turn = image.getexif().get(ORIENTATION, 1)
        if _is_pnm(image):
            return Stored(_pnm(path))
        if image.mode in WIDE_MODES:
            array = np.asarray(image)
            array = array.astype(array.dtype.newbyteorder("="), copy=False)[..., None]
            return Stored(upright(array, turn))
        return _wide_png(path, turn)


def _array(path: ImageFile) -> Stored:
    array = open_array(path)
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif" or not array.size:
        raise DataError(f"{path}: holds {array.dtype} {list(array.shape)}; expected numbers [height, width, channels]")
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return Stored(array[..., None] if array.ndim == 2 else array)


def _tiff(path: ImageFile, header: TiffHeader, channels: int) -> Stored:
    refuse_large(path, header.size)
    if math.prod(header.size) * header.samples * header.pages > MOST_VALUES:
        raise DataError(
            f"{path}: its header says {math.prod(header.size) * header.samples * header.pages:,} values, more than the "
            f"limit of {MOST_VALUES:,}; refused unread: cut it into parts"
        )
    if header.pages > 1 and (header.samples > 1 or header.pages != channels):
        bands = f", or, where they are the bands of one image, write 'channels: {header.pages}' into dataset.yaml"
        raise DataError(
            f"{path}: holds {header.pages} pages, expected one image; save one of them alone"
            + (bands if header.samples == 1 else "")
        )
    array = read_tiff(path, header)
    if array.dtype.kind not in "buif":
        raise DataError(f"{path}: holds {array.dtype}; expected whole numbers or float")
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return Stored(array, header.alpha, header.nodata)


def _wide_png(path: ImageFile, orientation: int) -> Stored:
    """A PNG of 16 bits and several channels: decoded twice, for the high and for the low byte of each sample."""
    bytes_of = []
    for order in ("B", "L"):
        with open_image(path) as image:
            kind = {"RGB": "RGB", "RGBA": "RGBA"}[image.mode]
            tile = image.tile[0]  # type: ignore[attr-defined]
            if tile[3] == "LA;16B":
                kind, raw = "LA", "RGBA"  # its four bytes: both of grey, both of alpha
            else:
                raw = f"{kind};16{order}"
            image.tile = [tile._replace(args=raw)]  # type: ignore[attr-defined]
            bytes_of.append(np.asarray(image).astype(np.uint16))
    if kind == "LA":
        array = bytes_of[0][..., ::2] << 8 | bytes_of[0][..., 1::2]
    else:
        array = bytes_of[0] << 8 | bytes_of[1]
    return Stored(upright(array, orientation), (array.shape[2] - 1,) if kind != "RGB" else ())


def _is_pnm(image: Image.Image) -> bool:
    return image.format == "PPM"


def _pnm_depth(image: Image.Image) -> int:
    file = getattr(image, "fp", None)
    if file is None:
        return 0
    place = file.tell()
    file.seek(0)
    head = PNM.match(file.read(1 << 12))
    file.seek(place)
    return int(head.group(4)) if head else 0


def _pnm(path: ImageFile) -> np.ndarray:
    """A binary PGM or PPM of 16 bits, unscaled."""
    content = content_of(path)
    head = PNM.match(content)
    if head is None or head.group(1) in b"23":
        raise DataError(f"{path}: numbers as text, of more than 8 bits; save it as a 16-bit PNG")
    channels = 3 if head.group(1) == b"6" else 1
    width, height, depth = (int(head.group(place)) for place in (2, 3, 4))
    count = width * height * channels
    kind = ">u2" if depth > 255 else "u1"
    if len(content) - head.end() < count * np.dtype(kind).itemsize:
        raise damaged(path, "too few bytes")
    values = np.frombuffer(content, kind, count, head.end()).astype(np.uint16 if depth > 255 else np.uint8)
    return values.reshape(height, width, channels)
