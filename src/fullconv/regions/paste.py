"""Scores of regions -> scores of pixels: the better region lies on top."""

from __future__ import annotations

import numpy as np

from fullconv.regions.proposals import Proposals

OVERLAP = 0.3
"""IoU from which the weaker of two regions of a class is left out; R-CNN's."""
MOST = 50
"""Regions of a class that compete, the best of those with a positive score."""
LEFT_OUT = -1e-3
"""The score of a region that a better one pushed out: below all that are kept."""


def competing(proposals: Proposals, scores: np.ndarray) -> np.ndarray:
    """Which regions stand for their class: non-maximum suppression, class by class.

    Args:
        scores: float ``[regions, classes]``.

    Returns:
        bool ``[regions, classes]``: the score is positive, among the :data:`MOST` best of the class, and no kept region
        of the class with a higher one overlaps it by an IoU of more than :data:`OVERLAP`.
    """
    kept = np.zeros(scores.shape, bool)
    for label in range(scores.shape[1]):
        order = np.argsort(-scores[:, label], kind="stable")[:MOST]
        order = order[scores[order, label] > 0]
        if not len(order):
            continue
        near = proposals.overlaps(order.tolist()) > OVERLAP
        free = np.ones(len(order), bool)
        for index in range(len(order)):
            if free[index]:
                free[index + 1 :] &= ~near[index, index + 1 :]
        kept[order[free], label] = True
    return kept


def paste(proposals: Proposals, scores: np.ndarray) -> np.ndarray:
    """Each pixel's best score of each class over the regions that it lies in.

    The class of the highest is what pasting the regions one over the other, in the order of their scores, leaves there
    (Girshick et al. 2014, section 5; Hariharan et al. 2014, section 5).

    Args:
        scores: float32 ``[regions, classes]``.

    Returns:
        float32 ``[classes, height, width]``; ``-inf`` where no region lies.
    """
    result = np.full((scores.shape[1], *proposals.size), -np.inf, np.float32)
    for number, cut in enumerate(proposals.cuts):
        mine = proposals.places[:, 0] == number
        if not mine.any():
            continue
        members, given = cut.members[proposals.places[mine, 1]], scores[mine].astype(np.float32)
        covered = members.any(0)
        for label in range(scores.shape[1]):
            order = np.argsort(-given[:, label], kind="stable")
            best = np.where(covered, given[order[members[order].argmax(0)], label], np.float32(-np.inf))
            np.maximum(result[label], best[cut.labels], out=result[label])
    return result
