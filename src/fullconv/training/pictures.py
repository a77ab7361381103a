"""The same few val samples after every epoch, and in every run of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fullconv import draw
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.segmenter import Segmenter

SHEET_SAMPLES = 4


def contact_sheet(segmenter: Segmenter, spec: DatasetSpec, items: Sequence[Item]) -> np.ndarray:
    """Image | truth | prediction of a few of ``items``, uint8 ``[height, width, 3]``."""
    rows = []
    for item in sheet_items(items):
        sample = read_sample(spec, item)
        rows.append((sample.image, sample.labels, segmenter.predict_pixels(sample.image).labels))
    return draw.contact_sheet(rows, spec.classes)


def sheet_items(items: Sequence[Item]) -> list[Item]:
    """The few that are drawn, spread over all."""
    return [items[i * len(items) // SHEET_SAMPLES] for i in range(min(SHEET_SAMPLES, len(items)))]
