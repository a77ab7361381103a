"""KITTI Road's scores by its development kit's rules: MaxF, average precision, and the rates at MaxF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fullconv.data import Batch, DatasetSpec
from fullconv.evaluation.numbers import number
from fullconv.spec import ClassSet

LAYOUT, KINDS = "kitti_road", ("road", "lane")
THRESHOLDS = np.arange(256, dtype=np.float32) / np.float32(255)
"""As many as a probability map of 8 bits has levels."""
POINTS = np.arange(0, 1.1, 0.1)
"""Of recall, for average precision as in PASCAL VOC 2007."""
SPACE = "perspective"
OTHERWISE = "in the camera's perspective; the benchmark's own figures are of bird's eye view"


@dataclass(frozen=True)
class RoadScores:
    """Of the road's (or lane's) probability against every threshold; all but the threshold are shares.

    Attributes:
        kind: ``road`` or ``lane``.
        max_f: the largest harmonic mean of precision and recall over the thresholds.
        average_precision: the mean over recalls 0, 0.1, ..., 1 of the highest precision at that recall or a higher one.
        precision, recall, false_positive_rate, false_negative_rate: at the threshold of ``max_f``.
        threshold: a pixel is road if its probability is at least this.

    Source: Fritsch, Kuehnl, Geiger, "A new performance measure and evaluation benchmark for road detection
    algorithms", ITSC 2013, section IV, and the benchmark's development kit. It measures in bird's eye view; this is
    in the camera's perspective.
    """

    kind: str
    max_f: float
    average_precision: float
    precision: float
    recall: float
    false_positive_rate: float
    false_negative_rate: float
    threshold: float

    def __str__(self) -> str:
        if math.isnan(self.max_f):
            return f"no MaxF: no labelled pixel is {self.kind}, or all are"
        rates = (
            f"precision {self.precision:.4f}  recall {self.recall:.4f}  FPR {self.false_positive_rate:.4f}  "
            f"FNR {self.false_negative_rate:.4f}"
        )
        return (
            f"KITTI Road ({self.kind}): MaxF {self.max_f:.4f}  AP {self.average_precision:.4f}; at MaxF, probability "
            f"{self.threshold:.3f}: {rates}; {OTHERWISE}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: nan becomes null."""
        figures = {name: number(value) for name, value in vars(self).items() if isinstance(value, float)}
        return {"kind": self.kind, "space": SPACE, **figures}


class RoadCounts:
    """Watches :func:`fullconv.evaluation.measure.measure`, with the probability of each pixel's label.

    Attributes:
        levels: int64 ``[2, 257]``: pixels that are not road and that are, by how many thresholds their probability
            reaches.
    """

    def __init__(self, classes: ClassSet, kind: str) -> None:
        self.kind, self.road, self.ignore_index = kind, classes.names.index(kind), classes.ignore_index
        self.levels = np.zeros((2, len(THRESHOLDS) + 1), np.int64)

    def __call__(self, batch: Batch, labels: Tensor, images: Sequence[Tensor], sure: Tensor) -> None:
        """A batch, its label maps of two classes and their probabilities ``[n, height, width]``."""
        chance = np.where(labels.cpu().numpy() == self.road, sure.float().cpu().numpy(), 1 - sure.float().cpu().numpy())
        truth = batch.labels.numpy()
        reached = np.searchsorted(THRESHOLDS, chance.astype(np.float32), side="right")
        for row, of in enumerate((truth != self.road, truth == self.road)):
            found = reached[of & (truth != self.ignore_index)]
            self.levels[row] += np.bincount(found, minlength=len(THRESHOLDS) + 1)

    def scores(self) -> RoadScores:
        """Nan without a pixel of either kind."""
        negatives, positives = self.levels.sum(1).tolist()
        if not (negatives and positives):
            return RoadScores(self.kind, *[math.nan] * 7)
        false, true = (row[::-1].cumsum()[::-1][1:] for row in self.levels)  # at least the threshold, of each
        recall, precision = true / positives, true / (true + false + 1e-10)
        f = 2 * precision * recall / (precision + recall + 1e-10)
        best = int(f.argmax())
        highest = [precision[recall >= point].max() for point in np.minimum(POINTS, 1)]
        return RoadScores(
            self.kind, float(f[best]), float(np.mean(highest)), float(precision[best]), float(recall[best]),
            float(false[best] / negatives), 1 - float(recall[best]), float(THRESHOLDS[best]),
        )  # fmt: skip


def road_counts(spec: DatasetSpec) -> RoadCounts | str:
    """For KITTI Road, read with a model's classes: what counts; else why not, empty of other data."""
    if spec.layout != LAYOUT:
        return ""
    kinds = [kind for kind in KINDS if kind in spec.classes.names]
    if len(spec.classes) == 2 and len(kinds) == 1:
        return RoadCounts(spec.classes, kinds[0])
    return (
        "no MaxF and AP of KITTI Road: they need a model of two classes, one of them road or lane, found "
        f"{len(spec.classes)}"
    )
