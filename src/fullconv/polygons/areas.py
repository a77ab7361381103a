"""How much of an image each class covers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fullconv.spec import ClassSet


class Area(NamedTuple):
    """What a class covers.

    Attributes:
        pixels: how many.
        share: of all pixels that have a label, 0 to 1; nan where none has.
        square_metres: on the earth, of a raster in a projection; else None.
    """

    pixels: int
    share: float
    square_metres: float | None = None


def counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixels of each class, int64 ``[num_classes]``; what is no class is left out."""
    found = np.zeros(num_classes, np.int64)
    for rows in np.array_split(labels, max(1, labels.size >> 24)):  # bincount takes 8 bytes a pixel
        found += np.bincount(rows[rows < num_classes], minlength=num_classes)
    return found


def areas(found: np.ndarray, classes: ClassSet, pixel_area: float | None = None) -> dict[str, Area]:
    """The area of every class by name, also of those that are not there.

    Args:
        found: of :func:`counts`.
        pixel_area: square metres of a pixel, where they are known.
    """
    total = int(found.sum())
    return {
        name: Area(
            int(count), int(count) / total if total else float("nan"),
            None if pixel_area is None else float(count) * pixel_area,
        )
        for name, count in zip(classes.names, found, strict=True)
    }  # fmt: skip


def areas_csv(images: Iterable[tuple[str, dict[str, Area]]]) -> str:
    """A table with a line for each image and class: image, class, pixels, share, square metres (empty: not known)."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "class", *Area._fields])
    for image, found in images:
        for name, area in found.items():
            metres = "" if area.square_metres is None else f"{area.square_metres:.10g}"
            share = "" if np.isnan(area.share) else f"{area.share:.6f}"
            table.writerow([image, name, area.pixels, share, metres])
    return text.getvalue()
