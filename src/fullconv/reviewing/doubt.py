"""From regions to places that are probably wrong: how much less probable a label is than labels of its class are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fullconv.reviewing.regions import MOST, Regions

TIMES = 10
"""A label that is so many times less probable than is usual for its class is called probably wrong."""
LEAST = math.log(TIMES)
BINS = 512
"""Of the surprise, to find its median without keeping every region."""
PRIOR = 10
"""Regions: the usual surprise of a class with so few of them is half that of all classes."""


class Doubt(NamedTuple):
    """A region whose label is probably wrong.

    Attributes:
        image: its image's number, in the order of :meth:`Doubts.add`.
        score: how many nats less probable its label is than is usual for its class, less for small regions.
        label, left, top, right, bottom: its class and its box; right and bottom lie behind its last pixel.
        pixels: of it.
        other, share, sure: as of :class:`Regions`.
    """

    image: int
    score: float
    label: int
    left: int
    top: int
    right: int
    bottom: int
    pixels: int
    other: int
    share: float
    sure: float


@dataclass
class Seen:
    """One image: ``loss``, the mean ``-log`` of the probability of its labels, and how many pixels have one."""

    loss: float
    pixels: int


class Doubts:
    """Takes the regions of one image after the other; keeps those that may be wrong.

    Confident learning (Northcutt et al., arXiv:1911.00068) compares a probability with what is usual for its class,
    because a network is not equally sure of all: there the mean self-confidence of a class, here, where regions are
    judged as wholes, the median of their mean log-probability, which a few wrong labels do not move.

    Attributes:
        seen: each image.
        judged, thin: regions of each class, int64 ``[classes]``; those without an inside, of all classes.
    """

    def __init__(self, classes: int) -> None:
        self.seen: list[Seen] = []
        self.thin = 0
        self._histogram = np.zeros((classes, BINS), np.int64)
        self._kept: list[np.ndarray] = []

    @property
    def judged(self) -> np.ndarray:
        return self._histogram.sum(1)

    def add(self, regions: Regions, seen: Seen) -> float:
        """The next image; returns the highest score of its regions, by what is usual so far."""
        labels = regions.boxes[:, 0]
        bins = np.minimum((regions.surprise * (BINS / MOST)).astype(np.int64), BINS - 1)
        np.add.at(self._histogram, (labels, bins), 1)
        self.thin += regions.thin
        candidate = regions.surprise * regions.weight >= LEAST  # what is usual only lowers it
        if candidate.any():
            columns = (
                np.full(candidate.sum(), len(self.seen)), regions.surprise[candidate], regions.weight[candidate],
                *regions.boxes[candidate].T, regions.pixels[candidate], regions.other[candidate],
                regions.share[candidate], regions.sure[candidate],
            )  # fmt: skip
            self._kept.append(np.stack([np.asarray(column, np.float64) for column in columns], 1))
        self.seen.append(seen)
        if not candidate.any():
            return 0.0
        usual = self.usual()
        return float(((regions.surprise - usual[labels]) * regions.weight)[candidate].max())

    def usual(self) -> np.ndarray:
        """The median surprise of the regions of each class, float64 ``[classes]``, in nats."""
        every = _median(self._histogram.sum(0))
        own = np.array([_median(row) for row in self._histogram])
        count = self.judged
        return np.asarray((count * own + PRIOR * every) / (count + PRIOR))

    def found(self) -> list[Doubt]:
        """The regions that are probably wrong, the most doubtful first."""
        if not self._kept:
            return []
        rows, usual = np.concatenate(self._kept), self.usual()
        score = (rows[:, 1] - usual[rows[:, 3].astype(int)]) * rows[:, 2]
        rows, score = rows[score >= LEAST], score[score >= LEAST]
        order = np.argsort(-score, kind="stable")
        return [_doubt(row, float(value)) for row, value in zip(rows[order].tolist(), score[order], strict=True)]


def _doubt(row: Sequence[float], score: float) -> Doubt:
    label, left, top, right, bottom, pixels, other = map(int, row[3:10])
    return Doubt(int(row[0]), score, label, left, top, right, bottom, pixels, other, row[10], row[11])


def _median(counts: np.ndarray) -> float:
    """Of values in bins: the middle of the bin that half of them reach; 0 where there are none."""
    total = counts.sum()
    if not total:
        return 0.0
    return float((np.searchsorted(np.cumsum(counts), (total + 1) // 2) + 0.5) * MOST / BINS)
