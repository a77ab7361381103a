"""What an evaluation looks at beside its counts: where each class is, how thin, whether masks are moved, and
the worst images.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fullconv.data import Batch
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.evaluation.shifts import Shift, best_shift, shift_errors
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
        self._shifts: list[Tensor] = []
        self._strides = Counter[int]()

    @property
    def stride(self) -> int:
        return self._strides.most_common(1)[0][0] if self._strides else 1

    @property
    def shift(self) -> Shift | None:
        """By which the masks fit better."""
        return best_shift(torch.cat(self._shifts)) if self._shifts else None

    def __call__(self, batch: Batch, labels: Tensor, images: list[ConfusionMatrix], stride: float) -> None:
        """A batch with its label maps ``[n, height, width]``, the counts of each image, and the stride there."""
        side = max(1, round(stride))
        self._strides[side] += len(batch.ids)
        truth = batch.labels.to(labels.device)
        self.thin += thin_counts(truth, side, len(self.classes))
        self._shifts.append(shift_errors(labels, truth, self.classes.ignore_index).cpu())
        for source, name, image, guess in zip(batch.sources, batch.ids, images, labels, strict=True):
            self.presence += (image.counts.sum(1) > 0).cpu()
            score = image.mean_iou()
            if math.isnan(score) or (len(self.worst) == WORST and score >= self.worst[-1].mean_iou):
                continue
            self.worst.append(Worst(score, (source, name), guess.cpu().numpy()))
            self.worst = sorted(self.worst, key=lambda entry: entry.mean_iou)[:WORST]
