"""The same few val samples after every epoch, and in every run of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fullconv import draw
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.data.loader import Sample
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet

SHEET_SAMPLES = 4


def contact_sheet(segmenter: Segmenter, spec: DatasetSpec, items: Sequence[Item]) -> np.ndarray:
    """Image | truth | prediction | errors of a few of ``items``, uint8 ``[height, width, 3]``."""
    rows = []
    for item in sheet_items(items):
        sample = read_sample(spec, item)
        rows.append(sheet_row(item.id, sample, [segmenter.predict_pixels(sample.image).labels], spec.classes))
    return draw.contact_sheet(rows, spec.classes)


def sheet_row(name: str, sample: Sample, predictions: Sequence[np.ndarray], classes: ClassSet) -> draw.Row:
    """A sample with what models say of it, and their scores in this image."""
    scores = []
    for labels in predictions:
        matrix = ConfusionMatrix(classes)
        matrix.update(torch.tensor(labels), torch.tensor(sample.labels))
        scores.append(matrix.scores().mean_iou)
    return draw.Row(name, sample.image, sample.labels, tuple(predictions), tuple(scores))


def sheet_items(items: Sequence[Item]) -> list[Item]:
    """The few that are drawn, spread over all."""
    return [items[i * len(items) // SHEET_SAMPLES] for i in range(min(SHEET_SAMPLES, len(items)))]
