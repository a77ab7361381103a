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
"""Of the labelled pixels that drawn scribbles cover."""
MOST = 0.1
"""Of the pixels of a component that its scribbles cover, where that does not make them smaller than a dot."""
CRUMB = 3000
"""A component smaller than an image's pixels divided by this (58 of 480x360) gets no stroke and no point."""
INSIDE = 3
"""How many pixels inside its component the middle of a stroke along a border lies."""


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
    """A label map with one point for each 8-connected component but crumbs (:func:`_pieces`), background too, void
    elsewhere.

    The point is the component's pixel that lies deepest (farthest from all others and from the image's border; of equal
    ones the first, row by row), drawn as the part of a 3x3 square that lies in the component.
    """
    numbers, count = _pieces(labels, ignore_index)
    places = _deepest(numbers, _depth(numbers), count)[0]
    painted = np.zeros(numbers.shape, bool)
    for place in places.tolist():
        medial.dab(numbers, place, WIDTH / 2, painted)
    return _where(painted, labels, ignore_index)


def scribbles_of(labels: np.ndarray, ignore_index: int, share: float = SHARE) -> np.ndarray:
    """A label map with one or two strokes for each 8-connected component but crumbs (:func:`_pieces`), background too,
    void elsewhere.

    Strokes inside and along borders, as in ScribbleBench (Gotkowski et al., arXiv:2403.12834), and in proportion to the
    size of things, not to their area: all cover ``share`` of the labelled pixels, divided by :func:`_divided`. One
    stroke runs along the longest way through the component's medial axis, from the middle of that to both ends. Where
    there are pixels for two strokes of at least 3x3, half of them go along the component's border: see
    :func:`_beside_borders`. Both are 3 pixels wide, never outside the component, the first wider only where its way is
    too short. What has too few pixels for a stroke gets a dot of up to 3x3.
    """
    numbers, count = _pieces(labels, ignore_index)
    depth = _depth(numbers)
    areas = _deepest(numbers, depth, count)[1]
    wanted = _divided(areas, share)
    order = np.argsort(np.minimum(depth, 65535).astype(np.uint16).ravel(), kind="stable")
    kept, painted = np.zeros(numbers.shape, bool), np.zeros(numbers.shape, bool)
    beside = _beside_borders(numbers, depth, areas, wanted, painted)
    medial.thin(numbers, order, kept)
    middle = np.flatnonzero(kept)
    starts = np.zeros(len(areas), np.int64)
    starts[numbers.ravel()[middle] - 1] = middle  # thinning leaves at least one of each
    medial.strokes(numbers, kept, starts, wanted - beside, WIDTH / 2, painted)
    return _where(painted, labels, ignore_index)


def point_count(labels: np.ndarray, ignore_index: int) -> int:
    """How many points :func:`points_of` draws."""
    return _pieces(labels, ignore_index)[1]


def stroke_count(labels: np.ndarray, ignore_index: int) -> int:
    """How many strokes :func:`scribbles_of` draws."""
    numbers, count = _pieces(labels, ignore_index)
    depth = _depth(numbers)
    areas = _deepest(numbers, depth, count)[1]
    beside = _beside_borders(numbers, depth, areas, _divided(areas, SHARE), np.zeros(numbers.shape, bool))
    return count + int(np.count_nonzero(beside))


def _divided(areas: np.ndarray, share: float) -> np.ndarray:
    """How many pixels of each component its strokes cover, float64 ``[components]``: ``share`` of all together, in
    proportion to the roots of the areas, but at most ``MOST`` of a component.
    """
    most = max(MOST, share)
    order = np.argsort(areas, kind="stable")
    rising = areas[order].astype(np.float64)
    roots = np.sqrt(rising)
    left = share * rising.sum() - most * (np.cumsum(rising) - rising)  # if all smaller ones have as much as they may
    factors = left / np.cumsum(roots[::-1])[::-1]
    free = np.flatnonzero(factors <= most * roots)[:1]  # the smallest component that has less
    factor = float(factors[free][0]) if len(free) else np.inf
    return np.minimum(factor * np.sqrt(areas), most * areas)


def _beside_borders(
    numbers: np.ndarray, depth: np.ndarray, areas: np.ndarray, wanted: np.ndarray, painted: np.ndarray
) -> np.ndarray:
    """Paint strokes along borders, of up to half of the pixels that are ``wanted`` of each component; how many pixels
    each has, int64 ``[components]``.

    Such a stroke follows the line three pixels inside the component, as the nearest of ScribbleBench's, without a
    break, on the part of it that has another class beside it (not void, nor the image's edge). It begins at that line's
    pixel whose number, row by row, is what remains of the component's pixels divided by the line's: of many components,
    all parts of borders have their turn.
    """
    wanted = wanted / 2
    rim = np.zeros(numbers.shape, bool)
    counts = medial.rims(numbers, depth, INSIDE * medial.STRAIGHT, (INSIDE + 1) * medial.STRAIGHT, INSIDE, rim)[1:]
    places = np.flatnonzero(rim)
    places = places[np.argsort(numbers.ravel()[places], kind="stable")]  # those of each component, row by row
    starts = np.full(len(areas), -1, np.int64)
    two = np.flatnonzero((counts > 0) & (wanted >= WIDTH**2))
    starts[two] = places[(np.cumsum(counts) - counts + areas % np.maximum(counts, 1))[two]]
    return np.asarray(medial.borders(numbers, rim, starts, wanted, WIDTH / 2, painted))


def _components(labels: np.ndarray, ignore_index: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The labels and the number of each pixel's component, from 1 (of void: 0), int32 ``[height, width]``; how many."""
    ids = np.ascontiguousarray(labels, np.int32)
    numbers = np.zeros(ids.shape, np.int32)
    return ids, numbers, medial.components(ids, ignore_index, np.zeros(ids.size + 1, np.int32), numbers)


def _pieces(labels: np.ndarray, ignore_index: int) -> tuple[np.ndarray, int]:
    """The number of each pixel's component, from 1, int32 ``[height, width]``; how many. Crumbs have the number 0.

    Crumbs are components so small (:data:`CRUMB`) that nobody would mark them, and that are not the largest of their
    class in the image. They are leaves, gaps between leaves and ragged edges: half of CamVid's components, of 0.3 % of
    its pixels, and what the network sees there is not what they are called.
    """
    ids, numbers, count = _components(labels, ignore_index)
    areas = np.bincount(numbers.ravel(), minlength=count + 1)
    classes = np.full(count + 1, ignore_index)
    classes[numbers] = ids
    order = np.lexsort((-areas, classes))
    largest = order[np.flatnonzero(np.diff(classes[order], prepend=classes[order[:1]] - 1))]
    marked = areas * CRUMB >= labels.size
    marked[largest] = True
    marked[0] = False
    renumbered = np.where(marked, np.cumsum(marked), 0).astype(np.int32)
    return renumbered[numbers], int(marked.sum())


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
