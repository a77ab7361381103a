"""An image file, or a PIL image, as uint8 pixels."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from fullconv.errors import DataError
from fullconv.images.encoded import ImageFile, content_of
from fullconv.images.encoding import UInt8Array
from fullconv.images.files import ORIENTATION, frames, open_image
from fullconv.images.stored import Stored, is_wide, read_wide
from fullconv.images.tiff_image import picture, tiff_header
from fullconv.images.values import Pixels, to_pixels
from fullconv.spec import Values

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_image(path: ImageFile, channels: int = 3, shrink: int = 1, values: Values | None = None) -> UInt8Array:
    """The pixels of :func:`read_pixels` alone, uint8 ``[height, width, channels]``."""
    return read_pixels(path, channels, shrink, values).image


def read_pixels(path: ImageFile, channels: int = 3, shrink: int = 1, values: Values | None = None) -> Pixels:
    """An image as uint8 ``[height, width, channels]``, and which of its pixels hold nothing.

    A JPEG may be read ``shrink`` (2, 4, 8) times smaller, sides rounded up, by decoding fewer frequencies of its
    blocks: fast, and close to averaging. Other files are read whole.

    EXIF rotation is applied. Values of more than 8 bits, or float, become bytes by the range of ``values``; without one
    they are refused. For 3 channels grey, palette and CMYK images become RGB and an alpha channel is dropped. Any
    number of bands is read from TIFF files and ``.npy`` arrays ``[height, width, channels]``.

    Raises:
        DataError: not an image, damaged, too large, of other channels, or of other values than ``values`` is for.
    """
    bytes_only = values is None or not (values.range or values.nodata)
    header = tiff_header(path)
    plain = header is None or (header.plain and header.pages == 1)
    if path.suffix.lower() != ".npy" and plain:
        with open_image(path) as image:
            if not is_wide(image):
                if bytes_only and (header is None or header.nodata is None):
                    return Pixels(_read_bytes(path, image, channels, shrink))
                stored = Stored(_read_bytes(path, image, channels, 1), (), header.nodata if header else None)
                return to_pixels(stored, channels, values or Values(), path)
    return to_pixels(read_wide(path, channels), channels, values or Values(), path)


def _read_bytes(path: ImageFile, image: Image.Image, channels: int, shrink: int) -> UInt8Array:
    """An open file of 8 bits."""
    if channels not in _MODES:
        raise DataError(
            f"{path}: an image of mode {image.mode}, expected {channels} bands; these are read from TIFF and .npy files"
        )
    count = frames(image)
    if count > 1:
        raise DataError(f"{path}: holds {count} frames, expected one image; save the right one alone")
    if image.format == "TIFF":
        return to_channels(ImageOps.exif_transpose(picture(path, image)), channels)
    plain = image.mode == "L" or (image.mode == "RGB" and channels == 3)
    if image.format in ("JPEG", "MPO") and plain and channels < 4 and image.getexif().get(ORIENTATION, 1) == 1:
        with suppress(ValueError):  # damaged, perhaps little: Pillow reads more of them
            return _read_jpeg(path, (image.height, image.width), channels, shrink)
    return to_channels(ImageOps.exif_transpose(image), channels)


def _read_jpeg(path: ImageFile, size: tuple[int, int], channels: int, shrink: int) -> UInt8Array:
    """The pixels that Pillow decodes, without its copies."""
    content = content_of(path)
    height, width = (-(-side // shrink) for side in size)
    colours = "RGB" if channels == 3 else "GRAY"
    return np.asarray(simplejpeg.decode_jpeg(content, colours, min_height=height, min_width=width, min_factor=1))


def to_channels(image: Image.Image, channels: int) -> UInt8Array:
    """A PIL image of 8 bits and any mode as uint8 ``[height, width, channels]`` (1, 3 or 4 channels)."""
    if (image.mode == "P" and "transparency" in image.info) or image.mode in ("LA", "La", "PA"):
        image = image.convert("RGBA")
    mode = _MODES[channels]
    array = np.array(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array
