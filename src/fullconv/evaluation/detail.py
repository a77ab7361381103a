"""What a report adds to scores: boundaries, calibration, every image, and how far the scores can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fullconv.data import Batch
from fullconv.evaluation.boundary import BoundaryCounts, BoundaryScores
from fullconv.evaluation.calibration import Reliability
from fullconv.evaluation.intervals import bootstrap, means
from fullconv.evaluation.numbers import number
from fullconv.evaluation.ranks import rank_correlation
from fullconv.spec import ClassSet

Key = tuple[int, str]
"""Data set (of a mixture) and id of an image."""
TELLS = 0.5
"""From this rank correlation on, uncertainty is said to tell which images are worse, or better: a rule of thumb."""


@dataclass(frozen=True)
class ImageDetail:
    """One image.

    Attributes:
        key: which one.
        counts: int64 ``[3, classes]``: pixels labelled rightly, of the truth, predicted.
        confidence: the mean probability of the winning class over all of its pixels, the unlabelled too.
    """

    key: Key
    counts: np.ndarray
    confidence: float

    @property
    def uncertainty(self) -> float:
        """The mean over all pixels of 1 minus the probability of the winning class."""
        return 1 - self.confidence

    @property
    def pixels(self) -> int:
        """That are labelled."""
        return int(self.counts[1].sum())

    @property
    def pixel_accuracy(self) -> float:
        return float(means(self.counts)["pixel_accuracy"])

    @property
    def mean_iou(self) -> float:
        return float(means(self.counts)["mean_iou"])


@dataclass(frozen=True)
class Detail:
    """Of one evaluation.

    Attributes:
        boundary: how well boundaries are followed.
        reliability: confidence against accuracy.
        intervals: 95 % interval of each mean score, by the bootstrap over images.
        images: in the order of the split.
        examples: ``{(true class, predicted class): the image with most such pixels}`` of the pairs confused most.
    """

    boundary: BoundaryScores
    reliability: Reliability
    intervals: Mapping[str, tuple[float, float]]
    images: Sequence[ImageDetail]
    examples: Mapping[tuple[int, int], Key]

    @property
    def uncertainty_tells_error(self) -> float:
        """Spearman's rank correlation of the images' uncertainty with their share of wrong pixels; nan of too few."""
        errors = [1 - image.pixel_accuracy for image in self.images]
        return rank_correlation([image.uncertainty for image in self.images], errors)

    def uncertainty_in_words(self) -> str:
        """What that correlation means for whoever ranks images by uncertainty."""
        value = self.uncertainty_tells_error
        if math.isnan(value):
            images = "one image is" if len(self.images) == 1 else f"{len(self.images)} images are"
            return (
                f"{images} too few, or too much alike, to say whether those that the model is unsure of are the worse"
            )
        means = "are hardly more often the worse ones than others"
        if abs(value) >= TELLS:
            means = f"are mostly the {'worse' if value > 0 else 'better'} ones"
        return (
            f"the images that the model is unsure of {means}: ranked by uncertainty and by share of wrong pixels, they "
            f"have a rank correlation of {value:.2f} (1: one order, 0: no relation, -1: the opposite order)"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, but for the images; nan becomes null."""
        near = {
            str(width): {"pixel_accuracy": number(scores.pixel_accuracy), "mean_iou": number(scores.mean_iou)}
            for width, scores in self.boundary.trimap.items()
        }
        return {
            "intervals": {name: [number(low), number(high)] for name, (low, high) in self.intervals.items()},
            "mean_boundary_iou": number(self.boundary.mean_iou),
            "mean_boundary_f": number(self.boundary.mean_f),
            "boundary_iou": list(map(number, self.boundary.iou)),
            "boundary_f": list(map(number, self.boundary.f)),
            "trimap": near,
            "expected_calibration_error": number(self.reliability.expected_error),
            "reliability": self.reliability.curve(),
            "uncertainty_error_rank_correlation": number(self.uncertainty_tells_error),
        }


class DetailCounts:
    """Watches :func:`fullconv.evaluation.measure.measure`, with the confidence of every pixel."""

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        self.boundary = BoundaryCounts(classes)
        self.reliability = Reliability()
        self.images: list[ImageDetail] = []
        self._most = np.zeros((len(classes), len(classes)), np.int64)
        self._where: dict[tuple[int, int], Key] = {}

    def __call__(self, batch: Batch, labels: Tensor, images: Sequence[Tensor], sure: Tensor) -> None:
        """A batch, its label maps and their probabilities ``[n, height, width]``, the counts of each image."""
        found, chances, truths = labels.cpu().numpy(), sure.float().cpu().numpy(), batch.labels.numpy()
        keys = zip(batch.sources, batch.ids, strict=True)
        for key, image, predicted, chance, truth in zip(keys, images, found, chances, truths, strict=True):
            known = truth != self.classes.ignore_index
            self.boundary.update(predicted, truth)
            self.reliability.update(chance[known], (predicted == truth)[known])
            table = image.cpu().numpy()
            self.images.append(
                ImageDetail(key, np.stack((table.diagonal(), table.sum(1), table.sum(0))), float(chance.mean()))
            )
            for pair in zip(*np.nonzero(table > self._most), strict=True):
                self._where[int(pair[0]), int(pair[1])] = key
            self._most = np.maximum(self._most, table)

    def detail(self, matrix: Sequence[Sequence[int]], known: Sequence[bool], pairs: int = 5) -> Detail:
        """What was seen; of a class that the data never label nothing counts as predicted."""
        counts = np.stack([image.counts for image in self.images])
        counts[:, 2, ~np.asarray(known)] = 0
        apart = np.array(matrix)
        np.fill_diagonal(apart, 0)
        order = np.argsort(-apart, axis=None, kind="stable")[:pairs]
        confused = [(int(i // len(apart)), int(i % len(apart))) for i in order if apart.flat[i]]
        return Detail(
            self.boundary.scores(), self.reliability, bootstrap(counts), tuple(self.images),
            {pair: self._where[pair] for pair in confused},
        )  # fmt: skip
