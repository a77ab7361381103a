"""Write a report: the page, and a table of all images."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv import draw
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.evaluation.closer import Worst
from fullconv.evaluation.detail import Detail, Key
from fullconv.evaluation.metrics import Scores
from fullconv.evaluation.page import Origin, Pictures, report_page
from fullconv.facts import facts
from fullconv.files import write_text
from fullconv.refinement import Refinement
from fullconv.segmenter import Segmenter

SHOWN = 3
"""Images in the middle, and of the best."""
TINY = 0.0005
"""A smaller share of a class would be said to be 0.0 %."""
COLUMNS = ("image", "file", "mean_iou", "pixel_accuracy", "confidence", "uncertainty", "labelled_pixels")
RUN_FILES, CURVES = ("config.yaml", "environment.json"), "curves.png"


@dataclass(frozen=True)
class Again:
    """How an image that was scored is labelled once more, to be shown."""

    segmenter: Segmenter
    spec: DatasetSpec
    items: Sequence[Item]
    refinement: Refinement
    tile: int
    overlap: int | None
    restrict: bool

    def row(self, key: Key, score: float, labels: np.ndarray | None = None) -> draw.Row:
        """One image, with its labels if they were kept."""
        item = next(item for item in self.items if (item.source, item.id) == key)
        sample = read_sample(self.spec, item)
        if labels is None:
            labels = self.segmenter.predict_pixels(
                sample.image, tile=self.tile, overlap=self.overlap, refinement=self.refinement, name=item.id
            ).labels
        return draw.Row(item.id, sample.image, sample.labels, (labels,), (score,))


def write_report(
    path: str | os.PathLike[str], scores: Scores, worst: Sequence[Worst], again: Again, origin: Origin
) -> None:
    """The page of scores with detail; images other than the worst are labelled once more to be shown."""
    detail = scores.detail
    assert detail is not None
    scored = {image.key: image.mean_iou for image in detail.images if not math.isnan(image.mean_iou)}
    kept = {entry.key: entry.labels for entry in worst}
    rest = [key for key in sorted(scored, key=lambda key: scored[key]) if key not in kept]
    best, others = rest[-SHOWN:][::-1], rest[:-SHOWN]
    middle = max(0, (len(scored) - SHOWN) // 2 - len(kept))

    def rows(keys: Sequence[Key]) -> list[draw.Row]:
        return [again.row(key, scored.get(key, math.nan), kept.get(key)) for key in keys]

    pictures = Pictures(
        rows(list(kept)), rows(others[middle : middle + SHOWN]), rows(best),
        [([_pair(scores, pair) for pair in pairs], rows([key])[0]) for key, pairs in _by_image(detail).items()],
        "the worst images are shown as they were scored, the others with classes that the data do not label"
        if again.restrict else "",
    )  # fmt: skip
    write_text(Path(path), report_page(scores, detail, pictures, origin))


def _by_image(detail: Detail) -> dict[Key, list[tuple[int, int]]]:
    """The pairs that each image is an example of: it is shown once."""
    found: dict[Key, list[tuple[int, int]]] = {}
    for pair, key in detail.examples.items():
        found.setdefault(key, []).append(pair)
    return found


def _pair(scores: Scores, pair: tuple[int, int]) -> str:
    true, taken = pair
    wrong, pixels, names = int(scores.confusion[true, taken]), scores.pixels[true], scores.classes.names
    share = f"{wrong / pixels:.1%} of its pixels" if wrong >= TINY * pixels else f"{wrong:,} of its {pixels:,} pixels"
    return f"{names[true]} taken for {names[taken]}: {share}"


def write_images(path: str | os.PathLike[str], scores: Scores, items: Sequence[Item]) -> None:
    """A CSV table with a line for each image, in the order of the split."""
    assert scores.detail is not None
    files = {(item.source, item.id): str(item.image.where) for item in items}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for image in scores.detail.images:
        values = (image.mean_iou, image.pixel_accuracy, image.confidence, image.uncertainty)
        shown = ("" if math.isnan(value) else f"{value:.6f}" for value in values)
        table.writerow((image.key[1], files[image.key], *shown, image.pixels))
    write_text(Path(path), text.getvalue())


def origin_of(model: object, segmenter: Segmenter, spec: DatasetSpec, split: str) -> Origin:
    """Where scores come from; of a run folder with its configuration and curves."""
    known = {"data": str(spec.root), "split": split, **facts(segmenter.header(), segmenter.runner)}
    if not isinstance(model, (str, os.PathLike)):
        return Origin(f"{segmenter.config['name']} on {spec.name}", known)
    folder = Path(model).parent if Path(model).is_file() else Path(model)
    files = {name: (folder / name).read_text("utf-8") for name in RUN_FILES if (folder / name).is_file()}
    curves = None
    if files and (folder / CURVES).is_file():
        with Image.open(folder / CURVES) as picture:
            curves = np.asarray(picture.convert("RGB"))
    return Origin(f"{Path(model).name} on {spec.name}", {"model": str(model), **known}, files, curves)
