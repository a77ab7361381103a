"""What an evaluation looks at beside its counts: where each class is, how thin it is, and the worst images."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fullconv.data import Batch
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.evaluation.thin import thin_counts
from fullconv.spec import ClassSet

WORST = 5
"""So many images are called the worst."""


class Worst(NamedTuple):
    """An image and its label map, which is kept to be drawn."""

    mean_iou: float
    key: tuple[int, str]
    labels: np.ndarray


class Closer:
    """Watches :func:`fullconv.evaluation.measure.measure`.

    Attributes:
        thin: int64 ``[classes]``, pixels in parts narrower than ``stride``.
        presence: int64 ``[classes]``, images that show the class.
        stride: pixels between two places of the coarse logits, of most images where they differ.
        worst: the images of the lowest mean IoU, the lowest first.
    """

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        self.thin = torch.zeros(len(classes), dtype=torch.int64)
        self.presence = torch.zeros(len(classes), dtype=torch.int64)
        self.worst: list[Worst] = []
        self._strides = Counter[int]()

    @property
    def stride(self) -> int:
        return self._strides.most_common(1)[0][0] if self._strides else 1

    def __call__(self, batch: Batch, labels: Tensor, images: list[ConfusionMatrix], stride: float) -> None:
        """A batch with its label maps ``[n, height, width]``, the counts of each image, and the stride there."""
        side = max(1, round(stride))
        self._strides[side] += len(batch.ids)
        self.thin += thin_counts(batch.labels.to(labels.device), side, len(self.classes))
        for source, name, image, guess in zip(batch.sources, batch.ids, images, labels, strict=True):
            self.presence += (image.counts.sum(1) > 0).cpu()
            score = image.mean_iou()
            if math.isnan(score) or (len(self.worst) == WORST and score >= self.worst[-1].mean_iou):
                continue
            self.worst.append(Worst(score, (source, name), guess.cpu().numpy()))
            self.worst = sorted(self.worst, key=lambda entry: entry.mean_iou)[:WORST]
