"""What a look at the data says that matters for how to train on them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fullconv.data import DatasetSpec, Item
from fullconv.data.sample import read_sample
from fullconv.evaluation.thin import thin_counts

LOOKED_AT, LOOK_SECONDS = 64, 8.0
"""Train images that are read, spread over all of them, and the longest that it may take."""
SIDES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Widths in pixels that classes are compared with."""
FEWEST = 50
"""Pixels of a class from which on its width is known."""


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data.

    Attributes:
        train, val: images.
        sizes: how many of the images looked at have each ``(height, width)``.
        read_seconds: to read one, with its labels, by one process.
        widths: of each class, the smallest of :data:`SIDES` for which at least half of its pixels lie in parts narrower
            than that; 64 where there is none. Classes that are hardly seen are left out.
    """

    train: int
    val: int
    sizes: Counter[tuple[int, int]]
    read_seconds: float
    widths: dict[str, int]

    @property
    def size(self) -> tuple[int, int]:
        """The most common ``(height, width)``."""
        return self.sizes.most_common(1)[0][0]

    @property
    def is_one_size(self) -> bool:
        """Whether resizing all to one size leaves each its shape: sides within a twentieth of the most common."""
        height, width = self.size
        return all(abs(h / height - 1) < 0.05 and abs(w / width - 1) < 0.05 for h, w in self.sizes)

    @property
    def thinnest(self) -> tuple[str, int]:
        """The class of the narrowest parts, and their width in pixels; without any a width of 64."""
        return min(self.widths.items(), key=lambda entry: entry[1], default=("", 2 * SIDES[-1]))


def look(spec: DatasetSpec, train: Sequence[Item], val: Sequence[Item]) -> DataFacts:
    """Read some of the train images.

    Raises:
        DataError: a file that cannot be read.
    """
    names, seconds = spec.classes.names, []
    sizes: Counter[tuple[int, int]] = Counter()
    pixels, thin = np.zeros(len(names), np.int64), np.zeros((len(SIDES), len(names)), np.int64)
    until = time.monotonic() + LOOK_SECONDS
    for index in np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(int)):
        started = time.monotonic()
        sample = read_sample(spec, train[index])
        seconds.append(time.monotonic() - started)
        sizes[sample.labels.shape[0], sample.labels.shape[1]] += 1
        labels = torch.from_numpy(sample.labels.astype(np.int32))[None]
        pixels += np.bincount(sample.labels[sample.labels < len(names)].ravel(), minlength=len(names))
        thin += np.stack([thin_counts(labels, side, len(names)).numpy() for side in SIDES])
        if time.monotonic() > until:
            break
    return DataFacts(len(train), len(val), sizes, float(np.median(seconds)), _widths(names, pixels, thin))


def _widths(names: Sequence[str], pixels: np.ndarray, thin: np.ndarray) -> dict[str, int]:
    """Of each class with at least :data:`FEWEST` pixels; ``thin``: int64 ``[sides, classes]``."""
    found = {}
    for index, name in enumerate(names):
        if pixels[index] >= FEWEST:
            narrow = [side for side, count in zip(SIDES, thin[:, index], strict=True) if count >= pixels[index] / 2]
            found[name] = min(narrow, default=2 * SIDES[-1])
    return found
