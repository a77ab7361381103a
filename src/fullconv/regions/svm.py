"""A linear SVM for each class, with hard negatives."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from fullconv.libraries import library

COST = 1e-2
"""scikit-learn's ``C``, of features with mean 0 and deviation 1."""
POSITIVE_WEIGHT = 2.0
HARD = -1.0
"""A negative with at least this score teaches something: it lies within the margin, or beyond."""
GROWTH = 2000
"""So many new negatives of a class, and its SVM is trained anew."""
MOST_NEGATIVES = 10_000
"""Of a class; the hardest are kept."""
FIRST = 300
"""Negatives of an image before there is an SVM, drawn at random."""
NEVER = -1e3
"""The score of a class that has no SVM."""


@dataclass
class ClassExamples:
    """What the SVM of one class learns from.

    Attributes:
        positives, negatives: features float32 ``[n, width]``.
    """

    positives: list[np.ndarray] = field(default_factory=list)
    negatives: list[np.ndarray] = field(default_factory=list)
    fresh: int = 0


class SvmTrainer:
    """Gathers examples image by image and trains (Girshick et al. 2014, section 2.3: one pass over all images).

    Args:
        num_classes, width: of the SVMs.
        labels: classes that have one; not the background.
        seed: of the random negatives, and of scikit-learn.
    """

    def __init__(self, num_classes: int, width: int, labels: list[int], seed: int = 0) -> None:
        self.weight = np.zeros((num_classes, width), np.float64)
        self.bias = np.full(num_classes, NEVER)
        self.labels, self.seed = labels, seed
        self.random = np.random.default_rng(seed)
        self.examples = {label: ClassExamples() for label in labels}

    @property
    def unseen(self) -> list[int]:
        """Classes without a positive example."""
        return [label for label in self.labels if not self.examples[label].positives]

    @property
    def only_seen(self) -> list[int]:
        """Once finished, classes without a negative example: nothing says what they are not, so they have no SVM."""
        return [label for label in self.labels if self.examples[label].positives and self.bias[label] == NEVER]

    def add(self, features: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> None:
        """The regions of one image.

        Args:
            features: float32 ``[regions, width]``.
            positive, negative: bool ``[regions, classes]``.
        """
        for label in self.labels:
            known = self.examples[label]
            if positive[:, label].any():
                known.positives.append(features[positive[:, label]])
            candidates = np.flatnonzero(negative[:, label])
            if self.bias[label] == NEVER:
                chosen = np.sort(self.random.permutation(candidates)[:FIRST])
            else:
                scores = features[candidates] @ self.weight[label] + self.bias[label]
                chosen = candidates[scores >= HARD]
            known.negatives.append(features[chosen])
            known.fresh += len(chosen)
            if known.fresh >= GROWTH and known.positives:
                self._train(label)

    def finish(self) -> None:
        """Train on all that was gathered."""
        for label in self.labels:
            if self.examples[label].positives and sum(map(len, self.examples[label].negatives)):
                self._train(label)

    def _train(self, label: int) -> None:
        """Train one SVM, then forget negatives that became easy."""
        known = self.examples[label]
        positives, negatives = np.concatenate(known.positives), np.concatenate(known.negatives)
        self.weight[label], self.bias[label] = fit(positives, negatives, self.seed)
        scores = negatives @ self.weight[label] + self.bias[label]
        hardest = np.argsort(-scores, kind="stable")[:MOST_NEGATIVES]
        known.negatives, known.fresh = [negatives[np.sort(hardest[scores[hardest] >= 1.2 * HARD])]], 0


def fit(positives: np.ndarray, negatives: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """scikit-learn's ``LinearSVC`` on standardised features.

    Args:
        positives, negatives: float ``[n, width]``.

    Returns:
        Weight ``[width]`` and bias for features as they are.
    """
    svm = library("sklearn.svm", "training on regions")
    features = np.concatenate([positives, negatives]).astype(np.float64)
    mean, deviation = features.mean(0), features.std(0)
    deviation[deviation == 0] = 1
    truth = np.arange(len(features)) < len(positives)
    model = svm.LinearSVC(C=COST, class_weight={True: POSITIVE_WEIGHT}, dual=False, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of not having converged to the last digit
        model.fit((features - mean) / deviation, truth)
    weight = model.coef_[0] / deviation
    return weight, float(model.intercept_[0] - weight @ mean)
