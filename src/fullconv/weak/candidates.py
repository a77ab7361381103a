"""BoxSup: which of many candidate segments is the object in a box.

Source: Dai, He & Sun, "BoxSup: Exploiting Bounding Boxes to Supervise Convolutional Networks for Semantic
Segmentation", ICCV 2015, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fullconv.data.annotations import IGNORED
from fullconv.weak.boxes import Box, area, empty_map, id_of, inside, middle, owners, painted

MOST = 30
"""Candidates that are kept of a box, those whose own boxes overlap it most."""
LEAST_OVERLAP = 0.3
"""Of a candidate's own box with the box, as IoU; others are no candidates."""
WEIGHT = 3.0
"""Lambda: of the network's loss beside the overlap (equation 3)."""
AMONG = 5
"""The candidate is drawn at random from so many of the lowest costs (section 3.2)."""
SLACK = 0.05
"""None that costs so much more than the cheapest: of the paper's 2,000 candidates an image the best are alike."""
LOWEST = 1e-6


@dataclass(frozen=True)
class Candidates:
    """The candidate segments of one box, the best overlap first.

    Attributes:
        overlaps: IoU of each one's own box with the box, float32 ``[n]``.
        masks: what of each lies in the box, bool ``[n, height, width]`` of the box.
    """

    overlaps: np.ndarray
    masks: np.ndarray


def candidates(box: Box, corners: np.ndarray, mask: Callable[[int], np.ndarray]) -> Candidates:
    """The proposals that may be the object of a box.

    Args:
        corners: boxes of all proposals, int ``[n, 4]``, as those of :class:`fullconv.weak.drawn.Box`.
        mask: the mask of a proposal, bool ``[height, width]`` of the image.
    """
    sides = np.minimum(corners[:, 2:], box[3:]) - np.maximum(corners[:, :2], box[1:3])
    common = np.prod(np.maximum(sides, 0), 1)
    overlaps = common / (np.prod(corners[:, 2:] - corners[:, :2], 1) + area(box) - common)
    order = np.argsort(-overlaps, kind="stable")[:MOST]
    kept = [int(place) for place in order if overlaps[place] >= LEAST_OVERLAP]
    masks = [mask(place)[inside(box)] for place in kept]
    shape = (0, box.bottom - box.top, box.right - box.left)
    return Candidates(overlaps[kept].astype(np.float32), np.stack(masks) if masks else np.zeros(shape, bool))


def with_cut(found: Candidates, cut: np.ndarray) -> Candidates:
    """The candidates of a box and the foreground of a cut, bool ``[height, width]`` of the box, if it has any."""
    rows, columns = np.flatnonzero(cut.any(1)), np.flatnonzero(cut.any(0))
    if not len(rows):
        return found
    overlap = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) / cut.size
    overlaps = np.append(found.overlaps, np.float32(overlap))
    return Candidates(overlaps, np.concatenate([found.masks, cut[None]]))


def costs(
    found: Candidates, box: Box, chances: np.ndarray | None, counted: np.ndarray, background: int | None, pixels: int
) -> np.ndarray:
    """The cost of each candidate, float ``[n]``: ``1 - overlap + 3 loss``.

    The loss is the network's cross-entropy over the box were the candidate the object, the box's class within and
    background around it, per pixel of the image: beyond the box it is the same for all. Without a class of the
    background it is that per pixel of the candidate, by the box's share of the image. Without a network it is left out.

    Args:
        chances: the network's probabilities in the box, ``[classes, height, width]``, or None.
        counted: pixels of the box that no smaller box covers, bool ``[height, width]``.
        pixels: of the image.
    """
    base = 1 - found.overlaps.astype(np.float64)
    if chances is None or not counted.any():
        return base
    losses = -np.log(np.maximum(chances.astype(np.float64), LOWEST))
    own = losses[box.label][counted]
    within = found.masks[:, counted]
    if background is None:
        sizes, share = within.sum(1), counted.sum() / pixels
        return base + WEIGHT * share * np.where(sizes > 0, within @ own / np.maximum(sizes, 1), -np.log(LOWEST))
    around = losses[background][counted]
    return base + WEIGHT * (within @ own + ~within @ around) / pixels


def drawn_from_best(cost: np.ndarray, random: np.random.Generator) -> int:
    """The place of one of the :data:`AMONG` lowest costs, within :data:`SLACK` of the lowest, each as likely."""
    best = np.argsort(cost, kind="stable")[:AMONG]
    best = best[cost[best] <= cost[best[0]] + SLACK]
    return int(best[random.integers(len(best))])


def chosen(
    size: tuple[int, int], boxes: Sequence[Box], found: Sequence[Candidates], chances: np.ndarray | None,
    ignore_index: int, background: int | None, seed: int,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Labels ``[height, width]`` with one candidate of each box, smaller over larger; and how many boxes have none.

    What no candidate covers is background (void without such a class). Of a box without a candidate the middle is its
    class and the rest void; one of no class (-1) is void.

    Args:
        found: the candidates of each box.
        chances: the network's probabilities, float ``[classes, height, width]``; None before the first round.
        seed: the choice is a function of it and of the box's place.
    """
    labels, uppermost, bare = empty_map(size, ignore_index, background), owners(boxes, size), 0
    for place in painted(boxes):
        box, part = boxes[place], labels[inside(boxes[place])]
        if box.label == IGNORED:
            part[:] = ignore_index
        elif not len(found[place].masks):
            part[:] = ignore_index
            labels[inside(middle(box))] = id_of(box, ignore_index)
            bare += 1
        else:
            here = None if chances is None else chances[(slice(None), *inside(box))]
            cost = costs(found[place], box, here, uppermost[inside(box)] == place, background, labels.size)
            random = np.random.Generator(np.random.Philox(key=[seed, place]))
            part[found[place].masks[drawn_from_best(cost, random)]] = box.label
    return labels, bare
