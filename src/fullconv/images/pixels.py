"""An image file, or a PIL image, as uint8 pixels."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from fullconv.errors import DataError
from fullconv.images.encoding import UInt8Array
from fullconv.images.files import ORIENTATION, open_array, opened

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


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
        array = open_array(path)
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
