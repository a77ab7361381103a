"""From a label map to less: the boxes, tags, points and scribbles that somebody could have drawn instead of it.

Each rule is a function of the label map alone, so that an image gives the same in every epoch and run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from fullconv.weak import medial

WIDTH = 3
"""Pixels across of a stroke, and of the square that a point is: no zoom of training loses them between two pixels."""
SHARE = 0.03
"""Of the pixels of each component that a drawn scribble covers."""


class Box(NamedTuple):
    """A box of a class (or of none, -1): the pixels of rows ``top`` to ``bottom - 1``, columns ``left`` to
    ``right - 1``."""

    label: int
    left: int
    top: int
    right: int
    bottom: int


def tags_of(labels: np.ndarray, num_classes: int) -> frozenset[int]:
    """The classes that label map ``[height, width]`` shows; void is none."""
    found = np.bincount(labels.ravel(), minlength=num_classes)[:num_classes]
    return frozenset(int(label) for label in np.flatnonzero(found))


def boxes_of(labels: np.ndarray, ignore_index: int, background: int | None) -> tuple[Box, ...]:
    """The bounding box of each 8-connected component but void and those of the background, from the top."""
    ids, numbers, count = _components(labels, ignore_index)
    found = medial.bounds(numbers, ids, count).tolist()
    return tuple(Box(*row) for row in found if row[0] != background)


def boxes_of_objects(numbers: np.ndarray, labels: np.ndarray) -> tuple[Box, ...]:
    """The bounding box of each object, whose pixels have its number (from 1) in ``numbers`` ``[height, width]``."""
    boxes = []
    for number, part in enumerate(ndimage.find_objects(numbers), 1):
        if part is not None:
            label = labels[part][numbers[part] == number][0]
            boxes.append(Box(int(label), part[1].start, part[0].start, part[1].stop, part[0].stop))
    return tuple(boxes)


def box_around(mask: np.ndarray, label: int) -> Box:
    """The bounding box of a mask that is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return Box(label, int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def points_of(labels: np.ndarray, ignore_index: int) -> np.ndarray:
    """A label map with one point for each 8-connected component, background too, void elsewhere.

    The point is the component's pixel that lies deepest (farthest from all others and from the image's border; of equal
    ones the first, row by row), drawn as the part of a 3x3 square that lies in the component.
    """
    _, numbers, count = _components(labels, ignore_index)
    places = _deepest(numbers, _depth(numbers), count)[0]
    painted = np.zeros(numbers.shape, bool)
    for place in places.tolist():
        medial.dab(numbers, place, WIDTH / 2, painted)
    return _where(painted, labels, ignore_index)


def scribbles_of(labels: np.ndarray, ignore_index: int, share: float = SHARE) -> np.ndarray:
    """A label map with one stroke for each 8-connected component, background too, void elsewhere.

    The stroke runs along the longest way through the component's medial axis, from the middle of that to both ends
    until it covers ``share`` of the component; 3 pixels wide, never outside the component, and wider only where the way
    is too short for that share. A component of less than 300 pixels gets a dot of up to 3x3.
    """
    _, numbers, count = _components(labels, ignore_index)
    depth = _depth(numbers)
    areas = _deepest(numbers, depth, count)[1]
    order = np.argsort(np.minimum(depth, 65535).astype(np.uint16).ravel(), kind="stable")
    kept, painted = np.zeros(numbers.shape, bool), np.zeros(numbers.shape, bool)
    medial.thin(numbers, order, kept)
    middle = np.flatnonzero(kept)
    starts = np.zeros(len(areas), np.int64)
    starts[numbers.ravel()[middle] - 1] = middle  # thinning leaves at least one of each
    medial.strokes(numbers, kept, starts, areas, share, WIDTH / 2, painted)
    return _where(painted, labels, ignore_index)


def _components(labels: np.ndarray, ignore_index: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The labels and the number of each pixel's component, from 1 (of void: 0), int32 ``[height, width]``; how many."""
    ids = np.ascontiguousarray(labels, np.int32)
    numbers = np.zeros(ids.shape, np.int32)
    return ids, numbers, medial.components(ids, ignore_index, np.zeros(ids.size + 1, np.int32), numbers)


def _depth(numbers: np.ndarray) -> np.ndarray:
    """How deep each pixel lies in its component, int32 ``[height, width]``."""
    depth = np.zeros(numbers.shape, np.int32)
    medial.depths(numbers, depth)
    return depth


def _deepest(numbers: np.ndarray, depth: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The place of each component's deepest pixel, and how many pixels it has; int64 ``[components]``."""
    places = np.zeros(count, np.int64)
    return places, medial.deepest(numbers, depth, places)


def _where(painted: np.ndarray, labels: np.ndarray, ignore_index: int) -> np.ndarray:
    return np.where(painted, labels, labels.dtype.type(ignore_index))
