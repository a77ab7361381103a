"""TIFF files: which of their pages are pictures, and the values of a page as they are stored."""

from __future__ import annotations

import io
import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import numpy as np
import tifffile

from fullconv.errors import DataError
from fullconv.images.damage import damaged
from fullconv.images.encoded import EncodedFile, ImageFile
from fullconv.images.formats import MAX_PIXELS, identified, refuse_large
from fullconv.images.orientation import upright

SUFFIXES = (".tif", ".tiff")
REDUCED, MASK = 1, 4
"""Bits of the tag NewSubfileType."""
OLD_REDUCED = 2
"""Value of the older tag SubfileType."""
OLD_SUBFILE_TYPE, ORIENTATION, NODATA = 255, 274, 42113
MIN_IS_WHITE = 0
MOST_BANDS = 8
"""Of the largest image; a smaller one may have more."""
LOSSY = (6, 7, 34892)
"""JPEG, under the numbers of its three forms."""

DAMAGE = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, EOFError, struct.error, zlib.error,
    tifffile.TiffFileError,
)  # fmt: skip
"""What tifffile raises on damaged bytes."""
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # our own line says it, once


@contextmanager
def open_tiff(path: ImageFile) -> Iterator[tifffile.TiffFile]:
    """Open with tifffile, any fault as a DataError of one line."""
    if isinstance(path, io.IOBase):
        path.seek(0)  # tifffile takes the present place for the beginning
    try:
        with tifffile.TiffFile(path if isinstance(path, io.IOBase) else str(path)) as tiff:
            yield tiff
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the name or the list that names it") from error
    except DataError:
        raise
    except DAMAGE as error:
        raise damaged(path, error) from error


def is_tiff(path: ImageFile) -> bool:
    """By its first bytes, whatever its name; False for a file that cannot be opened."""
    try:
        if isinstance(path, EncodedFile):
            head = path.getvalue()[:4]
        else:
            with path.open("rb") as file:
                head = file.read(4)
    except OSError:
        return False
    return head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def pictures(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The pages that are pictures of their own: no smaller copies (thumbnails, overviews), no transparency masks."""
    return [page for page in _pages(tiff) if not is_reduced(page) and not page.subfiletype & MASK]


def _pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    return [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]


def is_reduced(page: tifffile.TiffPage) -> bool:
    """Whether a page is a smaller copy of another."""
    old = page.tags.get(OLD_SUBFILE_TYPE)
    return bool(page.subfiletype & REDUCED) or (old is not None and old.value == OLD_REDUCED)


def validity(tiff: tifffile.TiffFile, path: ImageFile) -> np.ndarray | None:
    """GDAL's mask inside the file, bool ``[height, width]``: where there are data; None without one."""
    masks = [page for page in _pages(tiff) if page.subfiletype & MASK and not is_reduced(page)]
    return page_array(masks[0], path) > 0 if masks else None


def orientation_of(page: tifffile.TiffPage) -> int:
    """How the page is to be turned, 1 to 8 as EXIF counts."""
    tag = page.tags.get(ORIENTATION)
    return int(tag.value) if tag is not None and tag.value in range(1, 9) else 1


def no_data(page: tifffile.TiffPage) -> float | int | None:
    """The value that GDAL says stands for no data."""
    tag = page.tags.get(NODATA)
    try:
        value = float(str(tag.value).strip("\0 ")) if tag is not None else None
    except ValueError:
        return None
    if value is None or math.isnan(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 1 << 62 else value


def channel_names(tiff: tifffile.TiffFile) -> tuple[str, ...]:
    """What an OME file calls the channels of its first picture, in their order; empty where not each has a name of its
    own.
    """
    try:
        root = ElementTree.fromstring(tiff.ome_metadata or "<none/>")
    except ElementTree.ParseError:
        return ()
    names = [(one.get("Name") or "").strip() for one in root.findall("./{*}Image[1]/{*}Pixels/{*}Channel")]
    return tuple(names) if all(names) and len(set(names)) == len(names) else ()


def colours_of(page: tifffile.TiffPage) -> np.ndarray | None:
    """The palette, uint8 ``[n, 3]``; None without one. TIFF's entries have 16 bits; some programs write 8."""
    if page.colormap is None:
        return None
    table = np.asarray(page.colormap).T
    return (table if table.max(initial=0) < 256 else table >> 8).astype(np.uint8)


def page_array(page: tifffile.TiffPage, path: ImageFile, most: int = MAX_PIXELS) -> np.ndarray:
    """The values of a page as they are stored, ``[height, width]`` or ``[height, width, bands]``, turned upright.

    Raises:
        DataError: a compression that is not known here, more than ``most`` pixels, or bands beyond all reason.
    """
    refuse_large(path, (page.imagelength, page.imagewidth), most)
    if page.imagelength * page.imagewidth * page.samplesperpixel > MOST_BANDS * most:
        raise DataError(
            f"{path}: {page.samplesperpixel} bands of {page.imagewidth}x{page.imagelength} pixels; cut it into parts"
        )
    try:
        array: np.ndarray = page.asarray()
    except (ValueError, ImportError) as error:  # ImportError: zstd, which Python itself has from 3.14 on
        if not lacks_codec(error):
            raise
        return _by_pillow(page, path)
    if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        array = np.moveaxis(array, 0, -1)
    return upright(array, orientation_of(page))


def lacks_codec(error: Exception) -> bool:
    """Whether tifffile gave up for want of the package imagecodecs; older versions say no more than "not supported"."""
    return isinstance(error, ImportError) or "imagecodecs" in str(error) or "not supported" in str(error)


def _by_pillow(page: tifffile.TiffPage, path: ImageFile) -> np.ndarray:
    """What Pillow's libtiff decodes (LZW, CCITT, ...), upright, as the file's own values."""
    try:
        with identified(path) as image:
            image.seek(page.index)
            array = np.asarray(image)
            mode = image.mode
        if page.samplesperpixel > 1 and (array.shape[2:] != (page.samplesperpixel,) or page.dtype != array.dtype):
            raise ValueError("the package imagecodecs is missing")  # Pillow leaves bands out, and cuts to 8 bits
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: {page.samplesperpixel} bands of {page.dtype}, compressed as "
            f"{getattr(page.compression, 'name', page.compression)}, which "
            f"cannot be read here ({error}); pip install 'fullconv[tiff]', or save it with deflate compression"
        ) from error
    if mode in ("1", "L") and page.photometric == MIN_IS_WHITE:
        array = ~array  # Pillow shows what is white as white
    if mode == "L" and page.bitspersample < 8:
        array = array // (255 // (2**page.bitspersample - 1))  # Pillow stretches them to 0 .. 255
    if page.samplesperpixel == 1 and page.dtype is not None:
        kind = np.dtype(page.dtype)
        array = array.view(kind) if kind.itemsize == array.dtype.itemsize else array.astype(kind)
    return array
