"""Points spread over what looks alike around them: over some of the pixels of the superpixels that they lie in."""

from __future__ import annotations

import numpy as np

from fullconv.errors import UsageError
from fullconv.libraries import EXTRAS, installed
from fullconv.refinement import Superpixels

SUPERPIXELS = Superpixels(scale=30, sigma=0.8, smallest=4)
"""Small ones: where they hold CamVid's points, 96 % of their pixels are of the point's class (scale 100: 90 %)."""
MOST = 64
"""Pixels of a superpixel that are labelled: so that marks count, not the sizes of what they lie in."""


def spread(marks: np.ndarray, image: np.ndarray, ignore_index: int) -> np.ndarray:
    """The label map ``marks`` with superpixels labelled that hold marks of one class, void elsewhere.

    Where a superpixel holds marks of several classes, it labels nothing. Of a larger one :data:`MOST` pixels are
    labelled, evenly row by row. Marks stay as they are.

    Args:
        marks: label map ``[height, width]``, nearly all of it ``ignore_index``.
        image: uint8 ``[height, width, channels]``.

    Raises:
        UsageError: scikit-image is not installed.
    """
    segments = SUPERPIXELS.of(image)
    marked = marks != ignore_index
    least, most = np.full((2, segments.max() + 1), -1)
    least[:] = np.iinfo(least.dtype).max
    for bound, ufunc in ((least, np.minimum), (most, np.maximum)):
        ufunc.at(bound, segments[marked], marks[marked])
    label = np.where(most == least, most, ignore_index)
    found = np.where(_some(segments), label[segments], ignore_index)
    return np.where(marked, marks, found).astype(marks.dtype)


def _some(segments: np.ndarray) -> np.ndarray:
    """Up to :data:`MOST` pixels of each segment, evenly in the order of its pixels; bool ``[height, width]``."""
    flat = segments.ravel()
    order = np.argsort(flat, kind="stable")
    areas = np.bincount(flat)
    area = areas[flat[order]]
    place = np.arange(len(flat)) - (np.cumsum(areas) - areas)[flat[order]]
    wanted = np.minimum(area, MOST)
    chosen = np.zeros(len(flat), bool)
    chosen[order] = (place + 1) * wanted // area > place * wanted // area
    return chosen.reshape(segments.shape)


def refuse_without_library() -> None:
    """Refuse to spread points where scikit-image is missing.

    Raises:
        UsageError: it is.
    """
    if not installed("skimage"):
        package, extra = EXTRAS["skimage"]
        raise UsageError(
            f"--point-labels superpixels needs the package {package}, which is not installed; "
            f"pip install 'fullconv[{extra}]', or choose --point-labels dots"
        )
