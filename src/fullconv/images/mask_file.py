"""A mask file as it is stored: numbers, colours, or a 0/1 map for each class; and as colours, whatever it stores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullconv.errors import DataError
from fullconv.images.encoded import ImageFile
from fullconv.images.encoding import Kind, UInt8Array

NO_COLOUR = -1


class UnfitMask(DataError):
    """A file that can be read, but is no single map of labels: several pictures, no integers, smoothed edges."""


class LossyMask(DataError):
    """A file whose compression changes labels."""


@dataclass(frozen=True)
class MaskFile:
    """A mask file as it is stored, upright.

    Attributes:
        path: of the file, for messages.
        kind: what ``stored`` holds.
        stored: values ``[height, width]``; for ``colour`` uint8 ``[height, width, 3]``; for ``planes`` the maps
            ``[planes, height, width]``.
        white: of grey, the value that is shown as white; 0: its numbers are not shown as grey.
        inverted: of grey, whether 0 is shown as white.
        palette: of a palette file, the colour of each value, uint8 ``[n, 3]``.
        transparent: where the file is fully transparent, bool ``[height, width]``; None: nowhere.
        keyed: whether that is said of a value (a palette's entry), not pixel by pixel.
        missing: where there is no number (NaN, GDAL's mask), bool ``[height, width]``; None: nowhere.
        no_data: the value that GDAL says stands for no data.
        plane: what the planes are called in this file: ``page`` or ``band``.
        orientation: how the file was turned to be upright, as EXIF counts.
    """

    path: ImageFile
    kind: Kind
    stored: np.ndarray
    white: int = 0
    inverted: bool = False
    palette: UInt8Array | None = None
    transparent: np.ndarray | None = None
    keyed: bool = False
    missing: np.ndarray | None = None
    no_data: float | int | None = None
    plane: str = "page"
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        height, width = self.stored.shape[-2:] if self.kind == "planes" else self.stored.shape[:2]
        return height, width

    def shades(self) -> np.ndarray | None:
        """The colour that each value is shown in, packed (:func:`packed`), int32 ``[values]``; :data:`NO_COLOUR` for a
        value without one. None where the file's numbers are not shown as colours of 8 bits."""
        if self.palette is not None:
            known = packed(self.palette)
            size = max(len(known), int(self.stored.max(initial=0)) + 1)
            return np.concatenate([known, np.full(size - len(known), NO_COLOUR)])
        if not self.white:
            return None
        greys = np.arange(self.white + 1)
        if self.inverted:
            greys = greys[::-1]
        shown = greys * 255 // self.white if self.white > 255 else (greys * 255 + self.white // 2) // self.white
        exact = shown * self.white == greys * 255 if self.white > 255 else np.ones(len(greys), bool)
        return np.where(exact, packed(np.repeat(shown[:, None], 3, 1)), NO_COLOUR)

    def packed(self) -> np.ndarray | None:
        """The file as colours, each packed into a number, int32 ``[height, width]``; None where it has none."""
        if self.kind == "colour":
            return packed(self.stored)
        shades = self.shades() if self.kind != "planes" else None
        return None if shades is None else shades[self.stored]

    def grey_values(self) -> np.ndarray | None:
        """Values ``[height, width]``: the file's own, or those of three equal channels; None for other colours."""
        if self.kind == "colour":
            red = self.stored[..., :1]
            return self.stored[..., 0] if (self.stored == red).all() else None
        return self.stored if self.kind in ("grey", "palette") else None


def packed(colours: np.ndarray) -> np.ndarray:
    """RGB ``[..., 3]`` as one number each, int32 ``[...]``."""
    numbers = colours[..., 0].astype(np.int32)
    for channel in (1, 2):
        numbers <<= 8
        numbers |= colours[..., channel]
    return numbers


def unpacked(number: int) -> tuple[int, int, int]:
    """The way back of :func:`packed`."""
    return number >> 16, number >> 8 & 255, number & 255


def of_numbers(path: ImageFile, array: np.ndarray, **rest: Any) -> MaskFile:
    """A grey file; floats become integers, NaN (and infinity, where GDAL calls it no data) is missing.

    Raises:
        UnfitMask: a number that is no integer.
    """
    if array.dtype.kind == "f":
        empty = rest.get("no_data")
        missing = np.isnan(array)
        if empty is not None and math.isinf(empty):
            missing |= array == empty
        wrong = ~missing & ((np.floor(array) != array) | np.isinf(array))
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            raise UnfitMask(
                f"{path}: holds {array[row, column]:g} at row {row}, column {column}, no integer; expected ids "
                "(a map of heights or probabilities?): save ids"
            )
        if missing.any():
            known = rest.get("missing")
            rest["missing"] = missing if known is None else missing | known
        array = np.where(missing, array.dtype.type(0), array)
        if (np.abs(array) < 1 << 53).all():
            array = array.astype(np.int64)
    elif array.dtype.kind == "b":
        array = array.astype(np.uint8)
    return MaskFile(path, "grey", array, **rest)


def of_planes(path: ImageFile, arrays: list[np.ndarray], rest: dict[str, Any]) -> MaskFile:
    """A 0/1 (or 0/255) map for each class.

    Raises:
        UnfitMask: the pages or bands are something else, or two of them overlap.
    """
    name = rest.get("plane", "page")
    for number, array in enumerate(arrays, 1):
        values = np.unique(array)[:10]
        if array.ndim != 2 or len(values) > 2 or values[0] not in (0, values[-1]) or values[-1] not in (0, 1, 255):
            held = f"{array.shape[2]} bands" if array.ndim != 2 else f"values {', '.join(f'{v:g}' for v in values)}"
            raise UnfitMask(
                f"{path}: holds {len(arrays)} {name}s, and {name} {number} holds {held}: they are not 0/1 maps, one "
                f"for each class; save the {name} that is meant"
            )
    planes = np.stack([array > 0 for array in arrays])
    twice = planes.sum(0) > 1
    if twice.any():
        row, column = (int(place) for place in np.argwhere(twice)[0])
        first, second = (int(place) + 1 for place in np.flatnonzero(planes[:, row, column])[:2])
        raise UnfitMask(
            f"{path}: {name}s {first} and {second} of {len(arrays)} overlap ({int(twice.sum())} pixels, first at row "
            f"{row}, column {column}); a pixel has one class: save one map of ids"
        )
    return MaskFile(path, "planes", planes, **rest)


def clear_parts(alpha: np.ndarray, path: ImageFile) -> np.ndarray | None:
    """Where a file is transparent; None where it nowhere is. Alpha of one value says nothing, but for 0.

    Raises:
        UnfitMask: parts are half transparent, as smoothed edges are.
    """
    if (alpha == alpha.flat[0]).all() and alpha.flat[0]:
        return None
    clear: np.ndarray = alpha == 0
    levels = np.unique(alpha[~clear])
    if len(levels) > 1:
        row, column = (int(place) for place in np.argwhere((alpha != 0) & (alpha != levels[-1]))[0])
        raise UnfitMask(
            f"{path}: half transparent pixels (alpha {int(alpha[row, column])} at row {row}, column {column}), as of "
            "smoothed edges; save the mask without smoothing and without alpha"
        )
    return clear if clear.any() else None


def lossy(what: str, form: str) -> str:
    return f"{what} a mask stored as {form}, whose compression changes labels; export the masks again as PNG"
