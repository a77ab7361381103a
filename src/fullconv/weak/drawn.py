"""From a label map to less: the boxes, tags, points and scribbles that somebody could have drawn instead of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

EIGHT = np.ones((3, 3), bool)
"""Pixels that touch at a corner are of one component."""


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


def boxes_of(labels: np.ndarray, num_classes: int, background: int | None) -> tuple[Box, ...]:
    """The bounding box of each 8-connected component of each class but the background, by class, then from the top."""
    boxes = []
    for label in sorted(tags_of(labels, num_classes) - {background}):
        numbered, _ = ndimage.label(labels == label, EIGHT)
        for rows, columns in ndimage.find_objects(numbered):
            boxes.append(Box(label, columns.start, rows.start, columns.stop, rows.stop))
    return tuple(boxes)
