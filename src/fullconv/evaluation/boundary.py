"""How well predicted boundaries follow the true ones: boundary IoU, boundary F and accuracy near boundaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from fullconv.evaluation.intervals import means
from fullconv.evaluation.numbers import known_mean
from fullconv.ops import confusion_counts
from fullconv.ops.edges import edge_band, matched_contours
from fullconv.spec import ClassSet

BAND_SHARE = 0.02
"""Of the image's diagonal: how deep boundary IoU looks into a mask; as in Cheng et al."""
CONTOUR_SHARE = 0.0075
"""Of the image's diagonal: how far apart contours count as one; as in Csurka et al."""
TRIMAP_WIDTHS = (1, 2, 4, 8, 16)
"""Pixels on either side of a true boundary."""


@dataclass(frozen=True)
class Near:
    """Labelled pixels near a true boundary: scores, and how many there are."""

    pixel_accuracy: float
    mean_iou: float
    pixels: int


@dataclass(frozen=True)
class BoundaryScores:
    """Scores of boundaries; nan for classes that occur in neither truth nor prediction.

    Attributes:
        iou: per class, boundary IoU: the IoU of the pixels of a mask that are no deeper in it than 2 % of the image's
            diagonal, with intersections and unions summed over images. What lies outside the image and what the truth
            leaves unlabelled are other masks. Source: Cheng et al., "Boundary IoU", arXiv:2103.16562, equation 4.
        f: per class, boundary F: of each image that has a contour of the class, the harmonic mean of the shares of
            predicted contour pixels that have a true one within 0.75 % of the diagonal, and the other way round; then
            the mean over images. Source: Csurka et al., "What is a good evaluation measure for semantic
            segmentation?", BMVC 2013, section 3.
        trimap: ``{width: scores}`` of the labelled pixels within so many pixels of a true boundary, unlabelled pixels
            included as the far side of one. Source: Kohli et al., "Robust higher order potentials for enforcing label
            consistency", IJCV 82 (2009), section 6.
    """

    iou: tuple[float, ...]
    f: tuple[float, ...]
    trimap: dict[int, Near]

    @property
    def mean_iou(self) -> float:
        return known_mean(self.iou)

    @property
    def mean_f(self) -> float:
        return known_mean(self.f)


@dataclass
class BoundaryCounts:
    """Counts that add up over images.

    Attributes:
        overlap: int64 ``[classes, 3]``: boundary pixels in both, of the truth, of the prediction.
        f_sums, f_images: per class, the sum of F over images and how many have a contour of it.
        trimap: int64 ``[classes, classes]`` by width, rows are the truth.
    """

    classes: ClassSet
    widths: Sequence[int] = TRIMAP_WIDTHS
    overlap: np.ndarray = field(init=False)
    f_sums: np.ndarray = field(init=False)
    f_images: np.ndarray = field(init=False)
    trimap: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.overlap = np.zeros((len(self.classes), 3), np.int64)
        self.f_sums = np.zeros(len(self.classes))
        self.f_images = np.zeros(len(self.classes), np.int64)
        self.trimap = {width: np.zeros((len(self.classes), len(self.classes)), np.int64) for width in self.widths}

    def update(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Add the label maps ``[h, w]`` of one image."""
        ignore, diagonal = self.classes.ignore_index, math.hypot(*truth.shape)
        known = truth != ignore
        prediction = np.where(known, prediction, ignore)
        depth = max(1, round(BAND_SHARE * diagonal))
        edges = [edge_band(labels, depth, border=True) & known for labels in (truth, prediction)]
        for column, where in enumerate((edges[0] & edges[1] & (truth == prediction), *edges)):
            labels = (truth, truth, prediction)[column][where]
            self.overlap[:, column] += np.bincount(labels, minlength=len(self.classes))
        self._add_f(matched_contours(prediction, truth, len(self.classes), CONTOUR_SHARE * diagonal, ignore))
        found = torch.from_numpy(prediction)
        for width, counts in self.trimap.items():
            near = torch.from_numpy(np.where(edge_band(truth, width), truth, ignore))
            counts += confusion_counts(found, near, len(self.classes), ignore).numpy()

    def _add_f(self, contours: np.ndarray) -> None:
        found, found_right, true, true_found = contours.T
        there = (found + true) > 0
        precision, recall = found_right / np.maximum(found, 1), true_found / np.maximum(true, 1)
        both = precision + recall
        self.f_sums += np.where(there & (both > 0), 2 * precision * recall / np.where(both > 0, both, 1), 0)
        self.f_images += there

    def scores(self) -> BoundaryScores:
        both, true, found = self.overlap.T
        either = true + found - both
        iou = np.where(either > 0, both / np.maximum(either, 1), np.nan)
        f = np.where(self.f_images > 0, self.f_sums / np.maximum(self.f_images, 1), np.nan)
        trimap = {width: _near(counts) for width, counts in self.trimap.items()}
        return BoundaryScores(tuple(iou.tolist()), tuple(f.tolist()), trimap)


def _near(counts: np.ndarray) -> Near:
    found = means(np.stack((counts.diagonal(), counts.sum(1), counts.sum(0))))
    return Near(float(found["pixel_accuracy"]), float(found["mean_iou"]), int(counts.sum()))
