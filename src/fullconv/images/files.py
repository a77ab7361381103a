"""Opening image files and arrays, any fault as an error of one line."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from fullconv.errors import DataError
from fullconv.images.damage import damaged
from fullconv.images.encoded import EncodedFile, ImageFile
from fullconv.images.formats import MAX_PIXELS, identified, refuse_large
from fullconv.images.orientation import TAG, upright_size
from fullconv.images.tiff import is_tiff, open_tiff, orientation_of, pictures

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".avif", ".npy")
UNREAD_SUFFIXES = (".heic", ".heif", ".hif")
"""Images that Pillow does not read."""
ORIENTATION = TAG
SAYING = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks of a PNG file in which Pillow looks for an orientation."""


@contextmanager
def open_image(path: ImageFile, most: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open with Pillow, any fault as a DataError of one line; more than ``most`` pixels are refused from the header."""
    try:
        with identified(path) as image:
            refuse_large(path, (image.height, image.width), most)
            yield image
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: a folder, where an image is expected; name one of its files") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not an image that can be read; save it as PNG or JPEG") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise damaged(path, error) from error


def image_size(path: ImageFile, most: int = MAX_PIXELS) -> tuple[int, int]:
    """``(height, width)`` as it is displayed (EXIF rotation applied), from the header alone."""
    size, orientation = stored_size(path, most)
    return upright_size(size, orientation)


def stored_size(path: ImageFile, most: int = MAX_PIXELS) -> tuple[tuple[int, int], int]:
    """``(height, width)`` as it is stored, and how it is to be turned, 1 to 8 as EXIF counts; from the header alone."""
    if path.suffix.lower() == ".npy":
        height, width = open_array(path, most).shape[:2]
        return (height, width), 1
    if is_tiff(path):
        with open_tiff(path) as tiff:
            pages = pictures(tiff) or [tiff.pages.first]
            size = pages[0].imagelength, pages[0].imagewidth
            refuse_large(path, size, most)
            return size, orientation_of(pages[0])
    with open_image(path, most) as image:
        # Pillow decodes a PNG to see what is said behind its pixels; where nothing is, what it has read already is all
        silent = image.format == "PNG" and "exif" not in image.info and not _says_more_behind(path)
        exif = Image.Image.getexif(image) if silent else image.getexif()
        return (image.height, image.width), exif.get(TAG, 1)


def _says_more_behind(path: ImageFile) -> bool:
    """Whether a PNG may have text or EXIF behind its pixels, by the names of its chunks; also where they are broken."""
    pixels = False
    with io.BytesIO(path.getvalue()) if isinstance(path, EncodedFile) else path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        place = file.seek(8)
        while len(head := file.read(8)) == 8:
            name, place = head[4:], place + 12 + int.from_bytes(head[:4], "big")
            pixels |= name == b"IDAT"
            if place > size or (pixels and name in SAYING):
                return True
            if name == b"IEND":
                return False
            file.seek(place)
    return True


def drawn_size(path: ImageFile, stated: tuple[object, object]) -> tuple[tuple[int, int], bool]:
    """``(height, width)`` of the image that outlines were drawn on, and whether it is the one ``stated``.

    That is the image as it is shown; or, where only their size is the one stated, its pixels as stored.
    """
    stored, orientation = stored_size(path)
    shown = upright_size(stored, orientation)
    size = stored if stated == stored else shown
    return (shown if stated == shown else size), None in stated or stated in (shown, stored)


def frames(image: Image.Image) -> int:
    """How many pictures a file holds: of an animation its frames. What follows a phone's photograph (MPO) is previews;
    the pages of a TIFF file are counted by :func:`fullconv.images.tiff.pictures`."""
    if image.format in ("MPO", "TIFF") or not getattr(image, "is_animated", False):
        return 1
    return int(getattr(image, "n_frames", 1))


def open_array(path: ImageFile, most: int = MAX_PIXELS) -> np.ndarray:
    """A ``.npy`` file, mapped into memory where it is a file of its own; more than ``most`` pixels are refused."""
    try:
        if isinstance(path, EncodedFile):
            _refuse_short(path, len(path.getvalue()))
            array: np.ndarray = np.load(path, allow_pickle=False)
        else:
            with path.open("rb") as file:
                _refuse_short(file, path.stat().st_size)
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy array ({error}); save it again with numpy.save") from error
    if array.ndim >= 2:
        refuse_large(path, array.shape[:2], most)
    return array


def _refuse_short(file: BinaryIO, size: int) -> None:
    """Refuse an array that the file is too short for, before memory is taken for it.

    Raises:
        ValueError: so it is, or not a ``.npy`` file.
    """
    file.seek(0)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version}")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"its header says {dtype} {list(shape)}, more than its {size} bytes hold")
    file.seek(0)
