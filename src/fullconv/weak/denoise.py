"""A network's own prediction -> labels for its next round, held to the boxes.

Source: Khoreva et al., "Simple Does It: Weakly Supervised Instance and Semantic Segmentation", CVPR 2017, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fullconv.crf import CRF, dense_crf
from fullconv.data.annotations import IGNORED
from fullconv.weak.boxes import OUTSIDE, Box, allowed, empty_map, owners

LEAST_OVERLAP = 0.5


@dataclass
class Denoised:
    """What the rules changed, counted over images.

    Attributes:
        pixels: of all images.
        outside: that were predicted as a class which has no box there.
        boxes: of a class, with a pixel that no smaller box covers.
        reset: of these, back to their first labels.
    """

    pixels: int = 0
    outside: int = 0
    boxes: int = 0
    reset: int = 0

    def add(self, other: Denoised) -> None:
        self.pixels, self.outside = self.pixels + other.pixels, self.outside + other.outside
        self.boxes, self.reset = self.boxes + other.boxes, self.reset + other.reset


def denoise(
    chances: np.ndarray, image: np.ndarray, boxes: Sequence[Box], first: np.ndarray, ignore_index: int,
    background: int | None, crf: CRF | None,
) -> tuple[np.ndarray, Denoised]:  # fmt: skip
    """Labels ``[height, width]`` of the most probable classes, by the paper's three rules.

    1. Outside all boxes is background (void without such a class); more strictly than in the paper a pixel can have no
       class but background and those of the boxes that it lies in.
    2. A dense CRF draws the edges along those of the image.
    3. Where the segment of a box covers less than half of it, the box goes back to its first labels. Both are counted
       where no smaller box lies over it, so that what is hidden does not count.

    Args:
        chances: probabilities, float ``[classes, height, width]``.
        image: uint8 ``[height, width, channels]``.
        boxes: within the image.
        first: labels of the first round, ``[height, width]``.
        background: the class of what lies outside all boxes; None: that is void.
        crf: its settings; None for none.
    """
    shape = (chances.shape[0], chances.shape[1], chances.shape[2])
    uppermost, can = owners(boxes, shape[1:]), allowed(boxes, shape, background)
    found = Denoised(pixels=uppermost.size)
    found.outside = int((~np.take_along_axis(can, chances.argmax(0)[None], 0)).sum())
    held = restricted(chances, can)
    if crf is not None and boxes:
        here = np.flatnonzero(can.any((1, 2)))  # few of the classes: the time of a CRF grows with their number
        held[here] = dense_crf(np.ascontiguousarray(held[here]), image, crf)
        held = restricted(held, can)
    unknown = ~can.any(0)
    labels = np.where(unknown, ignore_index, held.argmax(0)).astype(first.dtype)
    for place, box in enumerate(boxes):
        own = uppermost == place
        if box.label == IGNORED:
            labels[own] = ignore_index
            continue
        count = int(own.sum())
        found.boxes += count > 0
        if count and int((labels[own] == box.label).sum()) < LEAST_OVERLAP * count:
            labels[own] = first[own]
            found.reset += 1
    labels[uppermost == OUTSIDE] = empty_map((1, 1), ignore_index, background)[0, 0]
    return labels, found


def restricted(chances: np.ndarray, can: np.ndarray) -> np.ndarray:
    """Probabilities, float32 ``[classes, height, width]``, of those classes that a pixel can have (of all, if none)."""
    kept = np.where(can | ~can.any(0), np.maximum(chances.astype(np.float32), np.float32(1e-7)), np.float32(0))
    total: np.ndarray = kept / kept.sum(0)
    return total
