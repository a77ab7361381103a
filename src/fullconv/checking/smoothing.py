"""Mask pixels that stand for no class: are they smoothed edges, and which class is nearest?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.images.mask_file import MaskFile
from fullconv.images.masks import by_colour, colour_ids, looked_up, see_through, value_ids
from fullconv.spec import ClassSet

CLOSE_COLOUR = 24
"""A colour at most this far (Euclid, of 255) from a class's is a blurred version of it, however large its area."""
SOLID_PIXELS = 32
"""An unknown colour with at least so many pixels in areas two pixels thick was painted, not blurred."""
REACH = 2
"""How far from a smoothed pixel, in pixels, the classes are looked for that it may be a mixture of."""


@dataclass(frozen=True)
class Decoded:
    """A mask with unknown values.

    Attributes:
        labels: int32 ``[h, w]``, -1 where the value or colour stands for no class.
        raw: int64 ``[h, w, 1 or 3]``.
        keys: the known values or colours, int64 ``[k, 1 or 3]``.
        ids: the label of each, int64 ``[k]``.
    """

    labels: np.ndarray
    raw: np.ndarray
    keys: np.ndarray
    ids: np.ndarray

    @property
    def stray(self) -> np.ndarray:
        """Where the unknown pixels are, bool ``[h, w]``."""
        return self.labels < 0

    def smoothed(self) -> bool:
        """Whether the unknown pixels look like edges that were smoothed: thin, or close to a known colour.

        Values are taken for smoothed only where they lie between those of opposite neighbours.
        """
        stray = self.stray
        if not stray.any() or stray.mean() > 0.5:
            return False
        if self.raw.shape[2] == 1:
            return bool(_between(self.raw[..., 0])[stray].mean() >= 0.5)
        packed = _packed(self.raw)
        painted, counts = np.unique(packed[_solid(packed) & stray], return_counts=True)
        colours = _colours(painted[counts >= SOLID_PIXELS])
        near = np.full(len(colours), CLOSE_COLOUR**2 + 1)
        for key in self.keys:  # each with all colours at once: there are few keys
            near = np.minimum(near, np.square(colours - key).sum(1))
        return bool((near <= CLOSE_COLOUR**2).all())

    def different(self) -> int:
        """How many unknown values or colours there are."""
        return len(np.unique(_packed(self.raw)[self.stray]))

    def numbered(self) -> bool:
        """Whether greys are likely numbers: all nearly black, and unknown ones on areas."""
        painted = int((_solid(_packed(self.raw)) & self.stray).sum())
        return bool(self.raw.max() < CLOSE_COLOUR) and painted >= SOLID_PIXELS

    def nearest(self) -> np.ndarray:
        """Labels int32 ``[h, w]``: unknown pixels take the nearest colour of the classes that lie around them.

        Where no known pixel lies within :data:`REACH`, all classes are candidates.
        """
        from scipy.ndimage import maximum_filter

        rows, columns = np.nonzero(self.stray)
        colours, packed = self.raw[rows, columns], _packed(self.raw)
        best = np.full(len(rows), np.iinfo(np.int64).max)
        chosen = np.zeros(len(rows), np.int32)
        for key, index in zip(self.keys, self.ids, strict=True):
            distance = np.square(colours - key).sum(1)
            around = maximum_filter(packed == _packed(key), size=2 * REACH + 1, mode="constant")[rows, columns]
            distance = np.where(around, distance, distance + (1 << 40))
            closer = distance < best
            best[closer], chosen[closer] = distance[closer], index
        labels = self.labels.copy()
        labels[rows, columns] = chosen
        return labels


def decode_strays(mask: MaskFile, encoding: MaskEncoding, classes: ClassSet) -> Decoded | None:
    """A mask by its encoding, unknown pixels marked; None where it is neither colours that are named nor
    numbers."""
    ignore = classes.ignore_index
    known: Mapping[Any, int]
    try:
        shown = mask.packed() if by_colour(mask, encoding) else None
        numbers = mask.grey_values() if shown is None else shown
        known = colour_ids(encoding, ignore) if shown is not None else (
            value_ids(mask, encoding, len(classes), ignore)
        )  # fmt: skip
    except DataError:
        return None
    if numbers is None:
        return None
    labels = looked_up(numbers, known)
    try:
        labels = see_through(mask, encoding, ignore, labels)
    except DataError:
        return None
    keys = np.array([key for key in known if float(key).is_integer()], np.int64)
    ids = np.array([known[key] for key in keys.tolist()], np.int64)
    raw = numbers.astype(np.int64)
    wide = _colours(raw) if shown is not None else raw[..., None]
    return Decoded(labels, wide, _colours(keys) if shown is not None else keys[:, None], ids)


def smoothed_share(labels: np.ndarray, ignore_index: int) -> tuple[int, int]:
    """Border pixels whose id lies strictly between those of opposite neighbours, and all border pixels.

    Ids of sound masks have no order, so few lie between; interpolated masks have them along every edge.
    """
    between = border = 0
    for before, here, after in _triples(labels):
        sound = (before != ignore_index) & (here != ignore_index) & (after != ignore_index)
        between += int((_in_order(before, here, after) & sound).sum())
        border += int((((before != here) | (here != after)) & sound).sum())
    return between, border


def _between(values: np.ndarray) -> np.ndarray:
    """Where a value lies strictly between those of its neighbours in one direction, bool ``[h, w]``."""
    found = np.zeros(values.shape, bool)
    (a, b, c), (d, e, f) = _triples(values)
    found[:, 1:-1] |= _in_order(a, b, c)
    found[1:-1] |= _in_order(d, e, f)
    return found


def _triples(values: np.ndarray) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Each pixel with its neighbours before and after it: in its row, then in its column."""
    return (values[:, :-2], values[:, 1:-1], values[:, 2:]), (values[:-2], values[1:-1], values[2:])


def _in_order(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    found: np.ndarray = ((a < b) & (b < c)) | ((a > b) & (b > c))
    return found


def _solid(values: np.ndarray) -> np.ndarray:
    """Where a pixel is part of a square of two by two pixels of one value, bool ``[h, w]``."""
    right, below = values[:, :-1] == values[:, 1:], values[:-1] == values[1:]
    square = right[:-1] & right[1:] & below[:, :-1]
    found = np.zeros(values.shape, bool)
    for part in (np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:]):
        found[part] |= square
    return found


def _colours(packed: np.ndarray) -> np.ndarray:
    """The way back of :func:`_packed`, int64 ``[..., 3]``."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], -1)


def _packed(colours: np.ndarray) -> np.ndarray:
    """Values or colours ``[..., 1 or 3]`` as one number each."""
    if colours.shape[-1] == 1:
        return colours[..., 0]
    return (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]
