"""The same few val samples after every epoch, and in every run of a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from fullconv import draw
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.data.sample import Sample
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet

SHEET_SAMPLES = 4
EXTREMES = 2
"""So many of the worst and of the best images are shown."""


def contact_sheet(
    segmenter: Segmenter,
    spec: DatasetSpec,
    items: Sequence[Item],
    scores: Mapping[tuple[int, str], float],
    against: str = "",
) -> np.ndarray:
    """Image | truth | prediction | errors of a few of ``items``, the worst and the best, uint8 ``[height, width, 3]``.

    Args:
        scores: the mean IoU in each image, by data set and id (:class:`fullconv.evaluation.measure.Measured`).
        against: what they are against, where that is not masks.
    """
    fixed = sheet_items(items)
    notes = extremes(scores)
    by_name = {(item.source, item.id): item for item in items}
    more = [by_name[name] for name in notes if name in by_name and by_name[name] not in fixed]
    rows = []
    for item in (*fixed, *more):
        sample = read_sample(spec, item)
        labels = [segmenter.predict_pixels(sample.image).labels]
        rows.append(sheet_row(item.id, sample, labels, spec.classes, notes.get((item.source, item.id), "")))
    return draw.contact_sheet(rows, spec.classes, truth=against.removeprefix("against ") or "truth")


def extremes(scores: Mapping[tuple[int, str], float]) -> dict[tuple[int, str], str]:
    """Which images have the lowest and the highest scores, the worst of all first; none where there are few."""
    known = sorted((score, image) for image, score in scores.items() if not math.isnan(score))
    if len(known) < 2 * EXTREMES:
        return {}
    return {**{image: "worst" for _, image in known[:EXTREMES]}, **{image: "best" for _, image in known[-EXTREMES:]}}


def sheet_row(
    name: str, sample: Sample, predictions: Sequence[np.ndarray], classes: ClassSet, note: str = ""
) -> draw.Row:
    """A sample with what models say of it, and their scores in this image."""
    scores = []
    for labels in predictions:
        matrix = ConfusionMatrix(classes)
        matrix.update(torch.tensor(labels), torch.tensor(sample.labels))
        scores.append(matrix.mean_iou())
    return draw.Row(name, sample.image, sample.labels, tuple(predictions), tuple(scores), note)


def sheet_items(items: Sequence[Item]) -> list[Item]:
    """The few that are drawn, spread over all."""
    count = min(SHEET_SAMPLES, len(items))
    return [items[i * len(items) // count] for i in range(count)]
