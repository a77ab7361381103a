"""Boxes -> label maps by GrabCut: many runs, of a box and surroundings a little different, and what they agree on.

Source: Rother et al., "GrabCut", SIGGRAPH 2004, as OpenCV computes it; Khoreva et al., "Simple Does It", CVPR 2017,
section 3.2, GrabCut+^i: about 150 runs, boxes moved by 5 %, surroundings of 10 to 60 %, foreground where 70 % of the
runs agree, background where fewer than 20 % say foreground, void between. Departures: fewer runs (:data:`RUNS`);
OpenCV's colour differences in place of HED's edges, which need a network of their own; sides move outwards only. Where
one moves inwards, a strip of the object counts as sure background, and objects that fill their box came out empty: of
84 boxes of ``shapes`` 16, with outward moves none; three of four VOC images were cut better, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fullconv.data.annotations import IGNORED
from fullconv.draw.overlays import as_rgb
from fullconv.errors import UsageError
from fullconv.libraries import EXTRAS, installed, library
from fullconv.weak.boxes import Box, empty_map, id_of, inside, middle, painted

RUNS = 8
ITERATIONS = 3
AGREED, DENIED = 0.7, 0.2
MOVED = 0.05
"""By how much of its width and height a side of the box moves outwards, at most."""
AROUND = (0.1, 0.6)
"""How far the surroundings go beyond the box, in shares of its width and height."""
LONGEST = 256
"""Box and surroundings are brought to at most so many pixels a side: the time of a run grows with their area."""
SMALLEST = 4
"""A box with a shorter side, in pixels, is filled: there is nothing to cut."""


@dataclass
class Cuts:
    """How boxes were cut, counted.

    Attributes:
        boxes: of a class.
        small: filled, because a side is shorter than :data:`SMALLEST`.
        unsure: only the middle is labelled: the box leaves no surroundings, or the runs agree on no pixel.
    """

    boxes: int = 0
    small: int = 0
    unsure: int = 0

    def add(self, other: Cuts) -> None:
        self.boxes, self.small, self.unsure = (
            self.boxes + other.boxes, self.small + other.small, self.unsure + other.unsure
        )  # fmt: skip


def refuse_without_libraries(box_labels: str) -> None:
    """Refuse labels of boxes that need OpenCV, and for BoxSup scikit-image, where one is missing.

    Raises:
        UsageError: it is.
    """
    for module in ("cv2", "skimage") if box_labels == "boxsup" else ("cv2",):
        if not installed(module):
            package, extra = EXTRAS[module]
            raise UsageError(
                f"--box-labels {box_labels} needs the package {package}, which is not installed; "
                f"pip install 'fullconv[{extra}]', or choose --box-labels inner"
            )


def grabcut(
    image: np.ndarray, boxes: Sequence[Box], ignore_index: int, background: int | None, seed: int
) -> tuple[np.ndarray, Cuts]:
    """Labels ``[height, width]`` of an image from its boxes, smaller over larger.

    A box shows its class where the runs agree, and is void where they do not; where they agree that it is background,
    what lies under the box shows through. A box of no class (-1) is void.

    Args:
        image: uint8 ``[height, width, channels]``; of fewer than three channels the first, of more the first three.
        boxes: within the image.
        background: the class of what lies outside all boxes; None: that is void.
        seed: the runs are functions of it and of the box's place.
    """
    colours = as_rgb(image)
    labels = empty_map((image.shape[0], image.shape[1]), ignore_index, background)
    found = Cuts()
    for place in painted(boxes):
        box, label = boxes[place], id_of(boxes[place], ignore_index)
        part = labels[inside(box)]
        if box.label == IGNORED:
            part[:] = label
            continue
        found.boxes += 1
        if min(box.right - box.left, box.bottom - box.top) < SMALLEST:
            part[:] = label
            found.small += 1
            continue
        share = agreement(colours, box, np.random.Generator(np.random.Philox(key=[seed, place])))
        part[(share >= DENIED) & (share < AGREED)] = ignore_index
        part[share >= AGREED] = label
        if not (share >= AGREED).any():
            part[:] = ignore_index
            labels[inside(middle(box))] = label
            found.unsure += 1
    return labels, found


def agreement(image: np.ndarray, box: Box, random: np.random.Generator) -> np.ndarray:
    """The share of the runs that call a pixel of the box foreground, float32 ``[height, width]`` of the box.

    Where the box covers the image there are no surroundings and no runs: it is between the limits everywhere.
    """
    height, width = box.bottom - box.top, box.right - box.left
    votes, runs = np.zeros((height, width), np.float32), 0
    for _ in range(RUNS):
        moved = random.uniform(0, MOVED, 4) * (-width, -height, width, height)
        run = _run(image, box, moved, float(random.uniform(*AROUND)), int(random.integers(1 << 30)))
        if run is not None:
            votes += run
            runs += 1
    return votes / runs if runs else np.full_like(votes, (AGREED + DENIED) / 2)


def _run(image: np.ndarray, box: Box, moved: np.ndarray, around: float, seed: int) -> np.ndarray | None:
    """One GrabCut, the box's sides ``moved``: the foreground of the box, bool; None where nothing is left around."""
    cv2 = library("cv2", "GrabCut")

    size = np.array([image.shape[1], image.shape[0], image.shape[1], image.shape[0]])
    limits = np.clip(np.rint(np.array(box[1:]) + moved).astype(int), 0, size)
    reach = np.maximum(1, np.rint(around * np.array([box.right - box.left, box.bottom - box.top])).astype(int))
    left, top = np.maximum(0, limits[:2] - reach)
    right, bottom = np.minimum(size[2:], limits[2:] + reach)
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    mask: np.ndarray = np.full(crop.shape[:2], cv2.GC_BGD, np.uint8)
    mask[limits[1] - top : limits[3] - top, limits[0] - left : limits[2] - left] = cv2.GC_PR_FGD
    scale = min(1.0, LONGEST / max(mask.shape))
    if scale < 1:
        sides = [max(1, round(scale * side)) for side in (mask.shape[1], mask.shape[0])]
        crop = cv2.resize(crop, sides, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, sides, interpolation=cv2.INTER_NEAREST)
    if not (mask == cv2.GC_BGD).any():
        return None
    cv2.setRNGSeed(seed)
    cv2.grabCut(crop, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), ITERATIONS, cv2.GC_INIT_WITH_MASK)
    front = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    if scale < 1:
        full = cv2.resize(front.astype(np.float32), (int(right - left), int(bottom - top)))
        front = full >= 0.5
    own: np.ndarray = front[box.top - top : box.bottom - top, box.left - left : box.right - left]
    return own
