"""What to label next: images that leave the model undecided and differ from each other and from what has a mask."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fullconv.ops import place_weights
from fullconv.parts import Part

CELLS = 2
"""The image is described by a grid of so many cells a side, beside as a whole."""
RAREST = 1e-3
"""A class of a smaller mean share counts as if it had this."""
BLOCK = 1024
"""Images whose distances are taken at a time."""


class Choice(NamedTuple):
    """An image to label.

    Attributes:
        image: its number.
        score: ``entropy * distance``, by which it was chosen.
        entropy: of the prediction, mean over the image, 0 (sure) to 1.
        distance: to what has a mask and to what was chosen before; 1 where there is neither.
    """

    image: int
    score: float
    entropy: float
    distance: float


class Sums:
    """What images show: the mean probability of each class, in all of an image and in each cell of a grid of it.

    Of a part that was added only sums are kept: the logits of a whole image may not fit into memory.

    Args:
        size: ``(height, width)`` of the images, which are of one size.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._boxes = torch.tensor(_cells(size))
        self._total: Tensor | None = None

    def add(self, part: Part) -> None:
        """Add coarse logits, whose places are averaged by how many pixels each stands for."""
        likely = part.logits.float().softmax(1)
        rows, columns = ((self._boxes[:, :2], part.rows), (self._boxes[:, 2:], part.columns))
        inside = torch.cat([side.clamp(at.start, at.stop) - at.start for side, at in (rows, columns)], 1)
        shape = (likely.shape[2], likely.shape[3])
        weights = place_weights(shape, part.size, part.window, inside.to(likely.device), likely)
        sums = torch.einsum("nchw,khw->nkc", likely, weights).cpu()
        self._total = sums if self._total is None else self._total + sums

    def described(self) -> Tensor:
        """Of all parts that were added: float32 ``n, classes * (1 + CELLS^2)`` on the CPU."""
        assert self._total is not None  # an image has a part
        pixels = (self._boxes[:, 1] - self._boxes[:, 0]) * (self._boxes[:, 3] - self._boxes[:, 2])
        return (self._total / pixels.clamp(min=1)[:, None]).flatten(1)


def _cells(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The whole, and the cells: first row, the one behind the last, first column, the one behind the last."""
    (rows, columns) = ([side * k // CELLS for k in range(CELLS + 1)] for side in size)
    cells = [(*pair, *other) for pair in pairwise(rows) for other in pairwise(columns)]
    return [(0, size[0], 0, size[1]), *cells]


def chosen(entropy: np.ndarray, features: np.ndarray, labelled: np.ndarray, budget: int) -> list[Choice]:
    """Greedily the image of the largest ``entropy * distance``, until there are ``budget``.

    Each feature is divided by its mean over all images first, so that a class that is rare makes as much of a
    difference as one that is everywhere.

    The distance (Euclidean) is that to the nearest image that has a mask or was chosen: the k-center greedy of Sener &
    Savarese, "Active learning for convolutional neural networks: a core-set approach", arXiv:1708.00489, weighed by how
    undecided the model is.

    Args:
        entropy: of each image without a mask, ``[n]``.
        features: of them, ``[n, d]``.
        labelled: of images that have a mask, ``[m, d]``.
        budget: how many to choose.
    """
    labelled = labelled.reshape(-1, features.shape[1])  # none has no width
    usual = np.concatenate([features, labelled]).mean(0)
    features, labelled = features / (usual + RAREST), labelled / (usual + RAREST)
    nearest = np.full(len(features), np.inf)
    for start in range(0, len(labelled), BLOCK):
        nearest = np.minimum(nearest, _nearest(features, labelled[start : start + BLOCK]))
    left, found = np.ones(len(features), bool), list[Choice]()
    for _ in range(min(budget, len(features))):
        distance = np.where(np.isinf(nearest), 1.0, nearest)
        score = np.where(left, entropy * distance, -1.0)
        best = int(score.argmax())
        found.append(Choice(best, float(score[best]), float(entropy[best]), float(distance[best])))
        left[best] = False
        nearest = np.minimum(nearest, _nearest(features, features[best : best + 1]))
    return found


def _nearest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distance of each of ``first`` to the nearest of ``second``, ``[n]``, :data:`BLOCK` rows at a time."""
    lengths = (second**2).sum(1)
    rows: Sequence[np.ndarray] = [
        ((block**2).sum(1)[:, None] - 2 * block @ second.T + lengths).min(1)
        for block in (first[start : start + BLOCK] for start in range(0, len(first), BLOCK))
    ]
    return np.asarray(np.sqrt(np.maximum(np.concatenate(rows), 0)))
