"""Mask files in TIFF: any number of bits, pages and bands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fullconv.errors import MOST_NAMED, DataError, first_few
from fullconv.images.encoded import ImageFile
from fullconv.images.files import refuse_large
from fullconv.images.mask_file import LossyMask, MaskFile, UnfitMask, clear_parts, lossy, of_numbers, of_planes
from fullconv.images.tiff import (
    LOSSY,
    MIN_IS_WHITE,
    colours_of,
    no_data,
    open_tiff,
    orientation_of,
    page_array,
    pictures,
    validity,
)


def mask_from_tiff(path: ImageFile) -> MaskFile:
    with open_tiff(path) as tiff:
        pages = pictures(tiff)
        if not pages:
            raise DataError(f"{path}: holds no picture of full size, only copies; save it again")
        first = pages[0]
        if first.compression in LOSSY:
            raise LossyMask(lossy(f"{path}:", "TIFF with JPEG compression"))
        refuse_large(path, (first.imagelength * len(pages), first.imagewidth))
        arrays = [page_array(page, path) for page in pages]
        if tiff.is_imagej and len(tiff.series[0].shape) > arrays[0].ndim and len(pages) == 1:
            arrays = list(tiff.series[0].asarray().reshape(-1, *arrays[0].shape))  # ImageJ's stacks of one page
        valid, turned = validity(tiff, path), orientation_of(first)
        if valid is not None and valid.shape != arrays[0].shape[:2]:
            valid = None
        palette, empty = colours_of(first), no_data(first)
    sizes = [array.shape[:2] for array in arrays]
    if len(set(sizes)) > 1:
        shown = first_few([f"page {n} {size[1]}x{size[0]}" for n, size in enumerate(sizes, 1)], MOST_NAMED)
        raise UnfitMask(f"{path}: holds pages of different sizes ({shown}); a mask is one picture: save only its page")
    rest: dict[str, Any] = {"orientation": turned, "missing": None if valid is None else ~valid, "no_data": empty}
    if len(arrays) > 1:
        return of_planes(path, arrays, rest)
    (array,) = arrays
    if palette is not None:
        values, alpha = (array, None) if array.ndim == 2 else (array[..., 0], array[..., 1])
        return MaskFile(
            path,
            "palette",
            values,
            palette=palette,
            transparent=None if alpha is None else clear_parts(alpha, path),
            **rest,
        )
    if array.ndim == 2:
        return _grey_tiff(path, array, first, rest)
    return _bands(path, array, first, rest)


def _grey_tiff(path: ImageFile, array: np.ndarray, page: Any, rest: dict[str, Any]) -> MaskFile:
    inverted = page.photometric == MIN_IS_WHITE
    if array.dtype == bool or page.bitspersample == 1:
        shown = array.astype(bool) ^ inverted
        return MaskFile(path, "grey", shown.astype(np.uint8), white=1, **rest)
    white = 2 ** int(page.bitspersample) - 1 if array.dtype in (np.uint8, np.uint16) else 0
    return replace(of_numbers(path, array, **rest), white=white, inverted=inverted)


def _bands(path: ImageFile, array: np.ndarray, page: Any, rest: dict[str, Any]) -> MaskFile:
    """One page of several bands: colours, grey with alpha, or a map for each class."""
    alphas = [int(kind) in (1, 2) for kind in page.extrasamples]  # associated, unassociated
    colours = array.shape[2] - len(alphas)
    name = page.photometric.name
    if name == "RGB" and colours == 3 and len(alphas) <= 1:
        if array.dtype != np.uint8:
            raise DataError(
                f"{path}: a colour mask of 16 bits, which would be cut to 8; save it with 8 bits, or as grey"
            )
        clear = clear_parts(array[..., 3], path) if alphas == [True] else None
        return MaskFile(path, "colour", array[..., :3], transparent=clear, **rest)
    if name in ("MINISBLACK", "MINISWHITE") and alphas == [True] and colours == 1:
        grey = _grey_tiff(path, array[..., 0], page, rest)
        return replace(grey, transparent=clear_parts(array[..., 1], path))
    if name in ("MINISBLACK", "MINISWHITE", "RGB"):
        return of_planes(path, list(np.moveaxis(array, -1, 0)), {**rest, "plane": "band"})
    raise DataError(f"{path}: a mask of {array.shape[2]} bands ({name}); expected an index, palette or RGB image")
