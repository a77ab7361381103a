"""Photographs that are stored turned, with a car."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 40
BOX = (3, 2, 20, 9)
"""Left, top, right and bottom of the car, in the pixels as they are stored."""


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {1: array, 3: array[::-1, ::-1], 6: np.rot90(array, -1), 8: np.rot90(array)}[orientation]


def stored() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top, right, bottom = BOX
    picture[top:bottom, left:right] = 1
    return picture


def photograph(path: Path, orientation: int) -> None:
    """Bright where the car is."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(stored()[..., None] * np.uint8(200), 3, 2)).save(path, exif=exif, quality=95)


def corners(orientation: int, upright: bool) -> tuple[list[list[float]], tuple[int, int]]:
    """The car's outline and the ``(height, width)`` that it was drawn on, as shown or as stored."""
    shown = turned(stored(), orientation) if upright else stored()
    rows, columns = np.nonzero(shown)
    left, top, right, bottom = (float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return [[left, top], [right, top], [right, bottom], [left, bottom]], (shown.shape[0], shown.shape[1])


def pairs(root: Path, orientation: int, mask: np.ndarray, of_mask: int = 1) -> Path:
    (root / "masks").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = of_mask
    for number in range(4):
        photograph(root / "images" / f"{number}.jpg", orientation if number else 1)
        if number:
            Image.fromarray(mask).save(root / "masks" / f"{number}.png", exif=exif)
        else:
            Image.fromarray(stored()).save(root / "masks" / f"{number}.png")
    return root
