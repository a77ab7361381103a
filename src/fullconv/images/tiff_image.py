"""TIFF files as images: any number of bands of 8 to 64 bits or float, tiled, planar, big-endian, BigTIFF."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from fullconv.errors import DataError
from fullconv.images.damage import damaged
from fullconv.images.encoded import ImageFile
from fullconv.images.orientation import SWAPS, upright, upright_size
from fullconv.images.tiff import (
    SUFFIXES,
    channel_names,
    colours_of,
    is_tiff,
    lacks_codec,
    no_data,
    open_tiff,
    orientation_of,
    page_array,
    pictures,
)

ALPHA = (1, 2)
"""ExtraSamples of these kinds are alpha; 0 is a band that the file says nothing of."""
COLOURS = {PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.PALETTE: 1, PHOTOMETRIC.RGB: 3}


class TiffHeader(NamedTuple):
    """What a TIFF file says of itself.

    Attributes:
        size: ``(height, width)`` as stored, before it is turned.
        dtype: of its samples, as numpy calls it.
        samples: per pixel, alpha included.
        alpha: which of them are alpha, by ExtraSamples.
        nodata: what GDAL_NODATA says; None where it says nothing, or a value that is not finite.
        pages: images of their own; reduced copies (overviews) and masks are not counted.
        plain: 8 bits, grey, palette or colours: Pillow reads it.
        names: of its channels, as OME metadata give them; empty where they do not.
    """

    size: tuple[int, int]
    dtype: str
    samples: int
    alpha: tuple[int, ...]
    nodata: float | None
    pages: int
    plain: bool
    names: tuple[str, ...] = ()


def tiff_header(path: ImageFile) -> TiffHeader | None:
    """The header; None where it is no TIFF (by name, or as bytes of a container), or one that cannot be read."""
    if not (path.suffix.lower() in SUFFIXES or not path.suffix) or not is_tiff(path):
        return None
    try:
        with open_tiff(path) as tiff:
            return _header(tiff)
    except DataError:
        return None  # Pillow's own line says what is wrong


def read_tiff(path: ImageFile, header: TiffHeader) -> np.ndarray:
    """The samples ``[height, width, samples]`` as they are stored, upright; of several pages, a page is a band.

    Raises:
        DataError: damaged, or of a kind or compression that is not read.
    """
    with open_tiff(path) as tiff:
        page = _first(tiff)
        if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB):
            raise DataError(
                f"{path}: {header.dtype} values that mean {PHOTOMETRIC(page.photometric).name}; expected grey or bands"
            )
        if header.pages == 1:
            array = _decoded(page, path)
        elif tiff.is_imagej:
            stack = tiff.asarray(series=0).reshape(header.pages, *header.size)
            array = upright(np.moveaxis(stack, 0, 2), orientation_of(page))
        else:
            array = np.concatenate([_decoded(page, path) for page in pictures(tiff)], axis=2)
    size, depth = upright_size(header.size, orientation_of(page)), header.samples * header.pages
    if array.shape != (*size, depth):
        raise damaged(path, f"holds {array.shape}, its header says {(*size, depth)}")
    if page.photometric == PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
        array = np.iinfo(array.dtype).max - array
    return array


def picture(path: ImageFile, image: Image.Image) -> Image.Image:
    """An open TIFF file of 8 bits as its first page that is no smaller copy, upright.

    Pillow cuts pages that are stored without compression and turned by a quarter into rows of the wrong length.
    """
    with open_tiff(path) as tiff:
        page = _first(tiff)
        if page.compression != COMPRESSION.NONE or orientation_of(page) < SWAPS:
            image.seek(page.index)
            return image
        array, palette = page_array(page, path), colours_of(page)
    most = 2 ** int(page.bitspersample) - 1
    if palette is not None:
        shown = Image.fromarray(array)
        shown.putpalette(palette.ravel().tolist())
        return shown
    array = (array.astype(np.uint16) * 255 // most).astype(np.uint8)
    return Image.fromarray(255 - array if page.photometric == PHOTOMETRIC.MINISWHITE else array)


def _decoded(page: TiffPage, path: ImageFile) -> np.ndarray:
    try:
        array = page_array(page, path) if page.samplesperpixel == 1 else _bands(page)
    except (ValueError, ImportError) as error:  # ImportError: zstd, which Python itself has from 3.14 on
        if not lacks_codec(error):
            raise
        predictor = f" with predictor {int(page.predictor)}" if page.predictor > 1 else ""
        raise DataError(
            f"{path}: {page.samplesperpixel} bands of {page.dtype}, compressed as "
            f"{getattr(page.compression, 'name', page.compression)}{predictor}, which the package imagecodecs reads, "
            "and it is missing; pip install 'fullconv[tiff]', or save it with deflate compression and no predictor"
        ) from error
    return array[..., None] if array.ndim == 2 else array


def _bands(page: TiffPage) -> np.ndarray:
    """Several bands, by tifffile alone: Pillow cuts them to 8 bits."""
    array = page.asarray()
    if page.planarconfig == 2:
        array = np.moveaxis(array, 0, -1)
    return upright(array, orientation_of(page))


def _first(tiff: TiffFile) -> TiffPage:
    return next(iter(pictures(tiff)), tiff.pages.first)


def _header(tiff: TiffFile) -> TiffHeader:
    page = _first(tiff)
    samples, bits = int(page.samplesperpixel), page.bitspersample
    extra = tuple(int(kind) for kind in page.extrasamples)
    first = samples - len(extra)
    alpha = tuple(first + place for place, kind in enumerate(extra) if kind in ALPHA)
    pages = len(pictures(tiff))
    if tiff.is_imagej:  # keeps all images of a stack behind one page
        pages = max(pages, int((tiff.imagej_metadata or {}).get("images", 1)))
    dtype = np.dtype(page.dtype)
    few = isinstance(bits, int) and bits <= 8 and dtype.kind in "ub"
    plain = few and COLOURS.get(PHOTOMETRIC(page.photometric), samples - len(alpha)) == samples - len(alpha)
    nodata = no_data(page)
    return TiffHeader(
        (int(page.imagelength), int(page.imagewidth)), dtype.newbyteorder("=").name, samples, alpha,
        float(nodata) if nodata is not None and math.isfinite(nodata) else None, max(pages, 1), plain,
        channel_names(tiff),
    )  # fmt: skip
