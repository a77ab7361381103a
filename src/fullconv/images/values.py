"""From stored values to the 8 bits that a network sees, by the range that the data set or the model states."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fullconv.errors import DataError
from fullconv.images.encoding import UInt8Array
from fullconv.images.stored import Stored
from fullconv.spec import Values

BoolArray = npt.NDArray[np.bool_]


class Pixels(NamedTuple):
    """What a network sees of an image: uint8 ``[height, width, channels]``, and which pixels hold nothing.

    Attributes:
        blank: bool ``[height, width]``: no band holds a value; None where every pixel holds one.
    """

    image: UInt8Array
    blank: BoolArray | None = None


class Band(NamedTuple):
    """One band ``[height, width]``: stored values, bytes, and where it holds nothing (None: nowhere)."""

    stored: np.ndarray
    shown: UInt8Array
    empty: BoolArray | None


def to_pixels(stored: Stored, channels: int, values: Values, where: object) -> Pixels:
    """Stored values as pixels of ``channels``.

    Args:
        where: what to name in messages.

    Raises:
        DataError: other bands, or another type than the range is for.
    """
    bands = list(bands_of(stored, channels, values, where))
    image = np.stack([band.shown for band in bands], axis=2)
    return Pixels(image, blank_of(bands))


def blank_of(bands: list[Band]) -> BoolArray | None:
    """Where no band holds anything, bool ``[height, width]``; None: nowhere."""
    empties = [band.empty for band in bands if band.empty is not None]
    if len(empties) < len(bands):
        return None
    blank: BoolArray = np.logical_and.reduce(empties)
    return blank if blank.any() else None


def bands_of(stored: Stored, channels: int, values: Values, where: object) -> Iterator[Band]:
    """Band by band; one band alone is repeated where three are wanted.

    Raises:
        DataError: as :func:`to_pixels`.
    """
    array = _fitted(stored, channels, where)
    refuse_other_type(array.dtype, values, where)
    alike = array.shape[2] == 1 and len(values.range) < 2 and len(values.nodata) < 2 and len(set(values.fill)) == 1
    first: Band | None = None
    for channel in range(channels):
        if first is not None and alike:
            yield first
            continue
        plane = array[..., channel if array.shape[2] > 1 else 0]
        first = _band(plane, channel, values, stored.nodata)
        yield first


def refuse_other_type(dtype: np.dtype, values: Values, where: object) -> None:
    """Refuse values that are not of the kind that the range is for: 8 bits without one, more with one beyond 0 to 255.

    Raises:
        DataError: they are not.
    """
    if dtype != np.uint8 and not values.range:
        raise DataError(
            f"{where}: holds {dtype.name} values, where 8-bit images are expected; save it with 8 bits, or train on "
            "data whose dataset.yaml states a range of values ('range: [low, high]')"
        )
    if dtype == np.uint8 and not values.bytes_fit:
        raise DataError(
            f"{where}: holds 8-bit values, where the range {Values(values.range)} is expected; "
            "give the image with its own values, or a model of 8-bit images"
        )


def _fitted(stored: Stored, channels: int, where: object) -> np.ndarray:
    """``[height, width, channels or 1]``, alpha left out unless it is wanted."""
    array = stored.array
    samples = array.shape[2]
    if samples == channels:
        return array
    kept = [place for place in range(samples) if place not in stored.alpha]
    if len(kept) == channels or (len(kept) == 1 and channels == 3):
        return array[..., kept]
    alpha = " and alpha" if stored.alpha else ""
    raise DataError(
        f"{where}: holds {len(kept)} band{'s' if len(kept) > 1 else ''}{alpha} of {array.dtype.name}, expected "
        f"{channels} channel{'s' if channels > 1 else ''}; give images of one kind, or state 'channels' in dataset.yaml"
    )


def _band(plane: np.ndarray, channel: int, values: Values, own_nodata: float | None) -> Band:
    stated = values.nodata[channel if len(values.nodata) > 1 else 0] if values.nodata else None
    empty = _empty(plane, tuple({value for value in (stated, own_nodata) if value is not None}))
    shown: UInt8Array
    if not values.range:
        shown = plane if empty is None else plane.copy()
    else:
        shown = _scaled(plane, empty, *values.range[channel if len(values.range) > 1 else 0])
    if empty is not None:
        shown[empty] = values.fill[channel if len(values.fill) > 1 else 0]
    return Band(plane, shown, empty)


def _empty(plane: np.ndarray, nodata: tuple[float, ...]) -> BoolArray | None:
    """Where a band holds nothing; None: nowhere."""
    empty: BoolArray | None = None
    if plane.dtype.kind == "f":
        empty = ~np.isfinite(plane)
    for value in nodata:
        if plane.dtype.kind == "f":
            with np.errstate(over="ignore"):
                own = plane.dtype.type(value)
        elif value.is_integer() and np.iinfo(plane.dtype).min <= value <= np.iinfo(plane.dtype).max:
            own = plane.dtype.type(int(value))
        else:
            continue  # no value of this type
        empty = plane == own if empty is None else empty | (plane == own)
    return empty if empty is not None and empty.any() else None


def _scaled(plane: np.ndarray, empty: BoolArray | None, low: float, high: float) -> UInt8Array:
    if plane.dtype.kind in "ui" and plane.dtype.itemsize <= 2:
        unsigned = plane.astype(plane.dtype.newbyteorder("="), copy=False).view(f"u{plane.dtype.itemsize}")
        return np.take(_table(plane.dtype.newbyteorder("=").str, low, high), unsigned)
    wide = plane.astype(np.float64 if plane.dtype.kind in "ui" or plane.dtype.itemsize > 4 else np.float32)
    if empty is not None:
        wide[empty] = low
    return _bytes(wide, low, high)


@lru_cache(maxsize=64)
def _table(dtype: str, low: float, high: float) -> UInt8Array:
    """The byte of every value of a type of 8 or 16 bits, in the order of its bits."""
    kind = np.dtype(dtype)
    every = np.arange(256**kind.itemsize).astype(f"u{kind.itemsize}").view(kind)
    return _bytes(every.astype(np.float64), low, high)


def _bytes(wide: np.ndarray, low: float, high: float) -> UInt8Array:
    scaled: UInt8Array = np.rint((255 * (wide - low) / (high - low)).clip(0, 255)).astype(np.uint8)
    return scaled
