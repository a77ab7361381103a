"""Whether a network is right as often as it says: confidence against accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

BINS = 15
"""As in Guo et al."""


@dataclass
class Reliability:
    """Labelled pixels by the probability of their winning class, in bins of equal width.

    Attributes:
        pixels, right: int64 ``[bins]``: how many there are, and how many of them are labelled rightly.
        confidence: float64 ``[bins]``: the sum of their probabilities.
    """

    pixels: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    right: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    confidence: np.ndarray = field(default_factory=lambda: np.zeros(BINS))

    def update(self, confidence: np.ndarray, right: np.ndarray) -> None:
        """Add pixels: the probability (0 to 1) of each one's class, and whether it is the true one."""
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)  # 1 belongs to the last
        self.pixels += np.bincount(bins, minlength=BINS)
        self.right += np.bincount(bins[right], minlength=BINS)
        self.confidence += np.bincount(bins, weights=confidence, minlength=BINS)

    @property
    def expected_error(self) -> float:
        """Expected calibration error (ECE): ``sum_b n_b / n |accuracy_b - confidence_b|``; nan without pixels.

        Source: Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599, equation 3.
        """
        total = int(self.pixels.sum())
        return float(np.abs(self.right - self.confidence).sum() / total) if total else math.nan

    def curve(self) -> list[tuple[float, float, int]]:
        """Mean confidence, accuracy and pixels of each bin that has any."""
        rows = zip(self.confidence.tolist(), self.right.tolist(), self.pixels.tolist(), strict=True)
        return [(sure / count, right / count, count) for sure, right, count in rows if count]
