"""What a model says of one image: labels, probabilities, and how they show themselves."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv import draw
from fullconv.errors import UsageError, first_few
from fullconv.images.picture import write_picture
from fullconv.images.write import write_mask
from fullconv.polygons.areas import Area, areas, counts
from fullconv.polygons.trace import TOLERANCE, ClassPolygon, trace
from fullconv.spec import ClassSet

NOTEBOOK_SIDE = 1600
"""Pixels of a picture's longer side in a notebook, at most."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What :meth:`fullconv.Segmenter.predict` saw in one image.

    Attributes:
        labels: the class of every pixel, uint8 (int32 above 256 classes) ``[height, width]``.
        probabilities: float16 ``[classes, height, width]``; None unless asked for: ``predict(image,
            probabilities=True)``.
        classes: names and colours of the ids.
        image: what was segmented, uint8 ``[height, width, channels]``.
        note: where labels may differ from those of the image as a whole, because it went in tiles, or that the model
            shrinks (or enlarges) it far more than the images that it learned from; else empty.
        name: the file that the image came from; empty where it came from memory.
        confidence: the probability of each pixel's class, float32 ``[height, width]``; None unless asked for:
            ``predict(image, confidence=True)``.
        entropy: of the probabilities of all classes, over that of equally probable ones: 0 is sure, 1 undecided;
            float32 ``[height, width]``; None unless asked for: ``predict(image, entropy=True)``.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    classes: ClassSet
    image: np.ndarray
    note: str = ""
    name: str = ""
    confidence: np.ndarray | None = None
    entropy: np.ndarray | None = None

    def overlay(
        self, opacity: float = draw.OPACITY, only: Iterable[str] | None = None, legend: bool = True
    ) -> np.ndarray:
        """The classes' colours over the image, outlined, uint8 ``[height, width, 3]``; those in ``only`` if given.

        A class called background is see-through. ``legend``: the names and colours of the classes that are there, below
        the image, which make the picture higher (and a narrow one wider).
        """
        ids = None if only is None else self.classes.ids(only)
        return draw.overlay(self.image, self.labels, self.classes, opacity, ids, legend)

    def save_overlay(self, path: str | Path, opacity: float = draw.OPACITY, only: Iterable[str] | None = None) -> None:
        """Write :meth:`overlay` as a PNG, a few rows at a time: without a copy of the picture in memory.

        Raises:
            UsageError: the name is not that of a PNG.
        """
        _refuse_other_than_png(path, "an overlay")
        ids = None if only is None else self.classes.ids(only)
        write_picture(path, *draw.overlay_strips(self.image, self.labels, self.classes, opacity, ids, with_legend=True))

    def __repr__(self) -> str:
        """The file, height x width, and the largest classes."""
        height, width = self.labels.shape
        shares = np.bincount(self.labels.ravel(), minlength=len(self.classes)) / max(self.labels.size, 1)
        order = [int(index) for index in np.argsort(-shares, kind="stable") if shares[index] > 0]
        shown = [f"{self.classes.names[index]} {shares[index]:.1%}" for index in order]
        name = f"{self.name}, " if self.name else ""
        return f"Prediction({name}{height}x{width}: {first_few(shown, 5)})"

    def _repr_png_(self) -> bytes:
        """The overlay, which notebooks show; of large images every few pixels."""
        step = -(-max(self.labels.shape) // NOTEBOOK_SIDE)
        image, labels = self.image[::step, ::step], self.labels[::step, ::step]
        buffer = io.BytesIO()
        Image.fromarray(draw.overlay(image, labels, self.classes, with_legend=True)).save(buffer, format="PNG")
        return buffer.getvalue()

    def polygons(self, tolerance: float = TOLERANCE, min_area: int = 0) -> list[ClassPolygon]:
        """The pieces of every class but the background as polygons that share their borders, without gaps or overlaps.

        Args:
            tolerance: corners that cut off less than ``tolerance ** 2`` pixels go; 0 gives the borders of the pixels.
            min_area: pixels; smaller pieces first become the neighbour with the longest shared border.

        Raises:
            UsageError: a negative tolerance or area, or a package of the extra ``polygons`` is not installed.
        """
        return trace(self.labels, self.classes, tolerance, min_area)

    def areas(self) -> dict[str, Area]:
        """Pixels and share of every class, by name."""
        return areas(counts(self.labels, len(self.classes)), self.classes)

    def save(self, path: str | Path) -> None:
        """Write the labels as a palette PNG (16-bit above 255 classes).

        Raises:
            UsageError: the name is not that of a PNG.
        """
        _refuse_other_than_png(path, "a mask", "JPEG would change ids")
        write_mask(path, self.labels, self.classes)


def _refuse_other_than_png(path: str | Path, what: str, why: str = "") -> None:
    """Refuse a name that would belie the file.

    Raises:
        UsageError: it does not end in ``.png``.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        png = path.with_suffix(".png")
        raise UsageError(f"{path}: {what} is written as PNG{f' ({why})' if why else ''}; name it {png}")
