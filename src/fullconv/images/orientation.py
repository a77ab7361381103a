"""EXIF orientation: one rule for images and masks, that what is read is upright."""

from __future__ import annotations

import numpy as np

TAG = 0x0112
SWAPS = 5
"""From this orientation on, height and width are swapped."""


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array ``[height, width, ...]`` as EXIF's ``orientation`` (1 to 8) says that it is to be shown."""
    if orientation >= SWAPS:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """``(height, width)`` after turning."""
    return (size[1], size[0]) if orientation >= SWAPS else size
