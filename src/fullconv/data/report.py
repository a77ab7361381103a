"""Read a whole data set once and say what is in it and what would go wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.loader import read_sample
from fullconv.data.spec import DatasetSpec, Item
from fullconv.errors import DataError


@dataclass
class CheckReport:
    """What :func:`check` found.

    Attributes:
        dataset: what was read.
        images: images per split.
        sizes: how many images have each ``(height, width)``.
        pixels: labelled pixels per split and class, ``{split: int64 [classes]}``.
        presence: images per split in which each class appears.
        exposure: labelled pixels per split of the images in which each class appears.
        void: pixels without a label, per split.
        problems: one line each; training would go wrong.
        notes: one line each; training works, but look at it.
    """

    dataset: DatasetSpec
    images: dict[str, int] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    presence: dict[str, np.ndarray] = field(default_factory=dict)
    exposure: dict[str, np.ndarray] = field(default_factory=dict)
    void: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def raise_problems(self) -> None:
        """Raise a DataError with the first problem and the number of the others."""
        if self.problems:
            more = len(self.problems) - 1
            tail = f" (and {more} more problem{'s' if more > 1 else ''}: fullconv check lists them)" if more else ""
            raise DataError(self.problems[0] + tail)

    def median_frequency_weights(self, split: str = "train") -> list[float]:
        """A weight per class: the median class frequency over the class's own; 0 for absent classes.

        The frequency of a class is its share of the labelled pixels of the images in which it appears.
        Source: Eigen & Fergus, arXiv:1411.4734, section 6.3.2.
        """
        pixels, exposure = self.pixels[split].astype(float), self.exposure[split]
        present = pixels > 0
        frequency = pixels[present] / exposure[present]
        weights = np.zeros(len(pixels))
        weights[present] = np.median(frequency) / frequency
        return [float(weight) for weight in weights]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.dataset.name,
            "layout": self.dataset.layout,
            "reasons": list(self.dataset.reasons),
            "classes": list(self.dataset.classes.names),
            "images": self.images,
            "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in self.sizes.most_common()],
            "pixels": {split: counts.tolist() for split, counts in self.pixels.items()},
            "presence": {split: counts.tolist() for split, counts in self.presence.items()},
            "void": self.void,
            "problems": self.problems,
            "notes": self.notes,
        }


def check(spec: DatasetSpec, splits: Iterable[str] | None = None) -> CheckReport:
    """Read every image and mask of the splits (all by default) with all cores; never raises for bad data."""
    report = CheckReport(spec)
    chosen = list(spec.splits) if splits is None else list(splits)
    with ThreadPoolExecutor() as pool:
        for split in chosen:
            _check_split(report, split, pool)
    _judge(report, chosen)
    return report


def _check_split(report: CheckReport, split: str, pool: ThreadPoolExecutor) -> None:
    spec = report.dataset
    num_classes = len(spec.classes)
    try:
        items = spec.split(split)
    except DataError as error:
        report.problems.append(str(error))
        return
    pixels, presence, exposure = (np.zeros(num_classes, dtype=np.int64) for _ in range(3))
    void = 0

    def look(item: Item) -> tuple[tuple[int, int], np.ndarray, int] | str:
        try:
            labels = read_sample(spec, item).labels
        except DataError as error:
            return str(error)
        counts = np.bincount(labels[labels != spec.classes.ignore_index].ravel(), minlength=num_classes)
        return labels.shape, counts, int(labels.size - counts.sum())

    for result in pool.map(look, items):
        if isinstance(result, str):
            report.problems.append(result)
            continue
        size, counts, ignored = result
        report.sizes[size] += 1
        pixels += counts
        presence += counts > 0
        exposure += (counts > 0) * counts.sum()
        void += ignored
    report.images[split] = len(items)
    report.pixels[split], report.presence[split], report.exposure[split] = pixels, presence, exposure
    report.void[split] = void


def _judge(report: CheckReport, splits: list[str]) -> None:
    names = report.dataset.classes.names
    for split in splits:
        if split not in report.pixels:
            continue
        pixels, void = report.pixels[split], report.void[split]
        if pixels.sum() == 0 and not report.problems:
            report.problems.append(
                f"{report.dataset.root}: split {split} has no labelled pixel, all are ignored; see its masks"
            )
        absent = [name for name, count in zip(names, pixels, strict=True) if count == 0]
        if absent:
            report.notes.append(f"absent from {split}: {', '.join(absent)}")
        total = int(pixels.sum()) + void
        if total and void / total > 0.5:
            report.notes.append(f"{void / total:.0%} of the pixels of {split} are ignored")
    shared = _shared(report.dataset)
    if shared:
        report.notes.append(f"{len(shared)} images are in train and in val: the scores flatter")


def _shared(spec: DatasetSpec) -> set[tuple[Path, int]]:
    ids = [{(item.image, item.index) for item in spec.splits.get(name, ())} for name in ("train", "val")]
    return ids[0] & ids[1]
