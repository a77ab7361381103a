"""Label maps of boxes: filled, or of their inner fifth alone; which box a pixel belongs to.

Source: Khoreva et al., "Simple Does It: Weakly Supervised Instance and Semantic Segmentation", CVPR 2017, section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fullconv.data.annotations import IGNORED
from fullconv.weak.drawn import Box

INNER = 0.2
"""Share of a box's area that :func:`inner` keeps, in its middle and of its proportions."""
OUTSIDE = -1


def area(box: Box) -> int:
    """Pixels of a box."""
    return (box.right - box.left) * (box.bottom - box.top)


def painted(boxes: Sequence[Box]) -> list[int]:
    """The places of boxes in the order in which they are painted: smaller over larger, of equal ones the later."""
    return sorted(range(len(boxes)), key=lambda place: -area(boxes[place]))


def inside(box: Box) -> tuple[slice, slice]:
    """Rows and columns of a box."""
    return slice(box.top, box.bottom), slice(box.left, box.right)


def empty_map(size: tuple[int, int], ignore_index: int, background: int | None) -> np.ndarray:
    """The label map of an image without boxes: background, or void where that is None."""
    around = ignore_index if background is None else background
    return np.full(size, around, np.uint8 if ignore_index <= 255 else np.int32)


def filled(boxes: Sequence[Box], size: tuple[int, int], ignore_index: int, background: int | None) -> np.ndarray:
    """Boxes as filled rectangles ``[height, width]``, over the background (void where that is None); a box of no class
    (-1) is void.
    """
    labels = empty_map(size, ignore_index, background)
    for place in painted(boxes):
        labels[inside(boxes[place])] = id_of(boxes[place], ignore_index)
    return labels


def inner(boxes: Sequence[Box], size: tuple[int, int], ignore_index: int, background: int | None) -> np.ndarray:
    """The paper's Box^i, ``[height, width]``: the inner fifth of each box is its class, the rest of the box void."""
    labels = empty_map(size, ignore_index, background)
    for place in painted(boxes):
        labels[inside(boxes[place])] = ignore_index
        labels[inside(middle(boxes[place]))] = id_of(boxes[place], ignore_index)
    return labels


def id_of(box: Box, ignore_index: int) -> int:
    """The label of a box's pixels."""
    return ignore_index if box.label == IGNORED else box.label


def middle(box: Box) -> Box:
    """The inner part of a box with :data:`INNER` of its area, at least a pixel."""
    factor = math.sqrt(INNER)
    width, height = box.right - box.left, box.bottom - box.top
    wide, high = max(1, round(factor * width)), max(1, round(factor * height))
    left, top = box.left + (width - wide) // 2, box.top + (height - high) // 2
    return Box(box.label, left, top, left + wide, top + high)


def owners(boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
    """The place of the uppermost box at each pixel, int32 ``[height, width]``; :data:`OUTSIDE` where there is none."""
    found = np.full(size, OUTSIDE, np.int32)
    for place in painted(boxes):
        found[inside(boxes[place])] = place
    return found


def allowed(boxes: Sequence[Box], shape: tuple[int, int, int], background: int | None) -> np.ndarray:
    """Which classes a pixel can have, bool ``[classes, height, width]``: those of the boxes that it lies in, and
    background; under a box of no class every one.
    """
    can = np.zeros(shape, bool)
    if background is not None:
        can[background] = True
    for box in boxes:
        can[(slice(None) if box.label == IGNORED else box.label, *inside(box))] = True
    return can
