"""What an evaluation shows: the confusion matrix, and the worst images with their errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv import draw
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.errors import UsageError
from fullconv.evaluation.closer import Worst
from fullconv.evaluation.metrics import Scores
from fullconv.files import replacing

CONFUSION, WORST = "confusion.png", "worst.png"


def refuse_file(folder: str | os.PathLike[str]) -> None:
    """Refuse a file where a folder is meant.

    Raises:
        UsageError: it is one.
    """
    if Path(folder).is_file():
        raise UsageError(f"{folder}: is a file; --pictures is the folder for {CONFUSION} and {WORST}")


def write_pictures(
    folder: str | os.PathLike[str], scores: Scores, spec: DatasetSpec, items: Sequence[Item], worst: Sequence[Worst]
) -> None:
    """``confusion.png`` and, where any image has a score, ``worst.png``: image | truth | prediction | errors."""
    folder = Path(folder)
    _write(folder / CONFUSION, scores.confusion_picture())
    if worst:
        by_key = {(item.source, item.id): item for item in items}
        rows = [_row(spec, by_key[entry.key], entry) for entry in worst]
        _write(folder / WORST, draw.contact_sheet(rows, spec.classes))


def _row(spec: DatasetSpec, item: Item, entry: Worst) -> draw.Row:
    sample = read_sample(spec, item)
    return draw.Row(item.id, sample.image, sample.labels, (entry.labels,), (entry.mean_iou,))


def _write(path: Path, picture: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
