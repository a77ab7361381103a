"""The connected regions of one image's mask, each with what a model says of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fullconv.weak import medial

LEAST_PROBABLE = 1e-4
"""A label is never held less probable: what a network says beyond is its scale, no knowledge."""
MOST = -math.log(LEAST_PROBABLE)
"""The largest surprise, in nats."""
RIM_SHARE = 0.002
"""Of the image's diagonal: so far from its border (1 pixel at least) a region is not judged."""
SIZE = 10
"""Pixels, for a rim of one, of which a region's inside counts half as much as that of a large one."""


class Regions(NamedTuple):
    """The 8-connected regions of one mask that have an inside, in the order of their first pixel.

    Attributes:
        boxes: int64 ``[n, 5]``: class, left, top, right, bottom (right and bottom behind the last pixel).
        pixels: int64 ``[n]``, with the rim.
        surprise: float64 ``[n]``, mean over the inside of ``-log`` of the probability of the label, up to :data:`MOST`.
        weight: float64 ``[n]``, 0 to 1: ``inside / (inside + SIZE rim^2)``.
        other: int64 ``[n]``, the class that the inside is predicted as most often, of all but its label.
        share, sure: float64 ``[n]``: how much of the inside is predicted so, and the mean probability there.
        thin: how many regions have no inside, and are not judged.
    """

    boxes: np.ndarray
    pixels: np.ndarray
    surprise: np.ndarray
    weight: np.ndarray
    other: np.ndarray
    share: np.ndarray
    sure: np.ndarray
    thin: int


def judged(
    labels: np.ndarray, losses: np.ndarray, predicted: np.ndarray, sure: np.ndarray, classes: int, ignore_index: int
) -> Regions:
    """Every region of a mask.

    Args:
        labels: the mask ``[height, width]``.
        losses: ``-log`` of the probability of each pixel's label.
        predicted, sure: the class predicted at each pixel, and its probability.
        classes: how many there are.
        ignore_index: the id of what has no label, and is of no region.
    """
    numbers, boxes = numbered(labels, ignore_index)
    rim = rim_of(labels.shape)
    inside = _depth(numbers) > medial.STRAIGHT * rim
    owner = numbers[inside] - 1
    pixels = np.bincount(numbers.ravel(), minlength=len(boxes) + 1)[1:]
    inner = np.bincount(owner, minlength=len(boxes))
    there = np.flatnonzero(inner)
    place = np.full(len(boxes), -1)
    place[there] = np.arange(len(there))
    owner, inner, boxes = place[owner], inner[there], boxes[there]
    pairs = owner * classes + predicted[inside]
    table = np.bincount(pairs, minlength=len(there) * classes).reshape(-1, classes)
    trust = np.bincount(pairs, sure[inside], len(there) * classes).reshape(-1, classes)
    surprise = np.bincount(owner, np.minimum(losses[inside], MOST), len(there)) / inner
    rows = np.arange(len(there))
    others = table.copy()
    others[rows, boxes[:, 0]] = -1
    other = others.argmax(1) if classes > 1 else np.zeros(len(there), np.int64)
    count = table[rows, other]
    return Regions(
        boxes, pixels[there], surprise, inner / (inner + SIZE * rim**2), other, count / inner,
        trust[rows, other] / np.maximum(count, 1), len(pixels) - len(there),
    )  # fmt: skip


def rim_of(size: tuple[int, ...]) -> int:
    """How many pixels from its border a region is not judged, in an image of ``(height, width)``."""
    return max(1, round(RIM_SHARE * math.hypot(*size)))


def numbered(labels: np.ndarray, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """The region of each pixel, from 1 (0: none), int32 ``[height, width]``; and the boxes, as of :class:`Regions`."""
    ids, numbers = np.ascontiguousarray(labels, np.int32), np.zeros(labels.shape, np.int32)
    count = medial.components(ids, ignore_index, np.zeros(ids.size + 1, np.int32), numbers)
    return numbers, medial.bounds(numbers, ids, count)


def _depth(numbers: np.ndarray) -> np.ndarray:
    depth = np.zeros(numbers.shape, np.int32)
    medial.depths(numbers, depth)
    return depth
