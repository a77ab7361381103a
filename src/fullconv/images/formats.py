"""Pillow's formats that are read, and opening them under our own limit instead of the host program's."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

from PIL import (  # each enters its format in Image.OPEN
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

with suppress(ImportError):  # before Pillow 11.2
    from PIL import AvifImagePlugin  # noqa: F401

from fullconv.errors import DataError
from fullconv.images.encoded import EncodedFile, ImageFile

MAX_PIXELS = 1 << 29
"""Larger images are refused from their header: 512 Mpixel, 1.5 GB as RGB."""
FORMATS = tuple(name for name in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "AVIF") if name in Image.OPEN)
"""What is read, told by content; no format that starts a program (EPS)."""


def identified(path: ImageFile) -> Image.Image:
    """What ``Image.open`` gives, from the openers that it calls.

    ``Image.open`` stops at twice ``Image.MAX_IMAGE_PIXELS``, which belongs to the host program and is left alone; who
    calls this holds a limit of their own before any pixel is decoded.

    Raises:
        UnidentifiedImageError: of none of :data:`FORMATS`.
    """
    if isinstance(path, EncodedFile):
        head = path.getvalue()[:16]
    else:
        with path.open("rb") as file:
            head = file.read(16)
    for name in FORMATS:
        make, accepts = Image.OPEN[name]
        if accepts is None or accepts(head) is not True:
            continue
        source: Any = path
        if isinstance(path, EncodedFile):
            path.seek(0)
        try:
            return make(source, str(path))
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            raise UnidentifiedImageError(str(error)) from error
    raise UnidentifiedImageError("an unknown format")


def refuse_large(where: object, size: tuple[int, int], most: int = MAX_PIXELS) -> None:
    """Refuse what its header says is too large.

    Raises:
        DataError: ``(height, width)`` are more than ``most`` pixels.
    """
    if size[0] * size[1] > most:
        raise DataError(
            f"{where}: its header says {size[1]}x{size[0]} pixels, more than the limit of {most}; refused unread (a "
            "decompression bomb?): cut it into parts"
        )
