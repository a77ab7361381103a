"""Opening image files and arrays, any fault as an error of one line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fullconv.errors import DataError
from fullconv.images.orientation import TAG, upright_size
from fullconv.images.tiff import is_tiff, opened_tiff, orientation_of, pictures

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".npy")
MAX_PIXELS = 1 << 29
"""Larger images are refused from their header: 512 Mpixel, 1.5 GB as RGB."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns at 89 and stops at 179 Mpixel; ours, above, stops at 512
ORIENTATION = TAG


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open with Pillow, any fault as a DataError of one line."""
    try:
        with Image.open(path) as image:
            refuse_large(path, (image.height, image.width))
            yield image
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not an image that can be read; save it as PNG or JPEG") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: damaged or truncated ({error}); copy or save it again") from error


def refuse_large(path: Path, size: tuple[int, int]) -> None:
    """Refuse an image of ``(height, width)`` by its header.

    Raises:
        DataError: it has more than :data:`MAX_PIXELS`.
    """
    if size[0] * size[1] > MAX_PIXELS:
        raise DataError(
            f"{path}: its header says {size[1]}x{size[0]} pixels, more than the limit of "
            f"{MAX_PIXELS}; refused unread (a decompression bomb?): cut it into parts"
        )


def image_size(path: Path) -> tuple[int, int]:
    """``(height, width)`` as it is displayed (EXIF rotation applied), from the header alone."""
    size, orientation = stored_size(path)
    return upright_size(size, orientation)


def stored_size(path: Path) -> tuple[tuple[int, int], int]:
    """``(height, width)`` as it is stored, and how it is to be turned, 1 to 8 as EXIF counts; from the header alone."""
    if path.suffix.lower() == ".npy":
        height, width = open_array(path).shape[:2]
        return (height, width), 1
    if is_tiff(path):
        with opened_tiff(path) as tiff:
            pages = pictures(tiff) or [tiff.pages.first]
            return (pages[0].imagelength, pages[0].imagewidth), orientation_of(pages[0])
    with opened(path) as image:
        return (image.height, image.width), image.getexif().get(TAG, 1)


def drawn_size(path: Path, stated: tuple[object, object]) -> tuple[tuple[int, int], bool]:
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


def open_array(path: Path) -> np.ndarray:
    """A ``.npy`` file, mapped into memory where it is a file of its own."""
    try:
        array: np.ndarray = np.load(path, mmap_mode=None if isinstance(path, io.IOBase) else "r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy array ({error}); save it again with numpy.save") from error
    if array.ndim >= 2 and array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise DataError(f"{path}: {array.shape[1]}x{array.shape[0]} pixels, more than the limit of {MAX_PIXELS}")
    return array
