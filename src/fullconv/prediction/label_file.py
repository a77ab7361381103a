"""A label map that is written, read again a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.images.formats import identified
from fullconv.images.map_place import MapPlace, map_place
from fullconv.images.raster_open import open_raster
from fullconv.prediction.inputs import Input

BLOCK = 8192
"""Pixels: larger rasters are read in squares of this side."""


@dataclass
class LabelFile:
    """A label map that is written.

    Attributes:
        image: what it is of.
        path: its file.
        size: ``(height, width)``.
        full: that of the image, of which it may be a level.
        place: where it lies on the earth.
    """

    image: Input
    path: Path
    size: tuple[int, int]
    full: tuple[int, int]
    place: MapPlace | None

    def blocks(self) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Row and column of each block, and its ids."""
        if self.path.suffix == ".png":
            with identified(self.path) as file:
                yield (0, 0), np.asarray(file)
            return
        reader = open_raster(self.path)
        assert reader is not None, self.path
        try:
            for top in range(0, self.size[0], BLOCK):
                for left in range(0, self.size[1], BLOCK):
                    rows = slice(top, min(top + BLOCK, self.size[0]))
                    columns = slice(left, min(left + BLOCK, self.size[1]))
                    yield (top, left), reader.read(rows, columns).array[..., 0]
        finally:
            reader.close()


def opened(image: Input, path: Path, level: int) -> LabelFile:
    """The label map of an image in the file ``path``; of a raster at a level of its pyramid."""
    if path.suffix == ".png":
        with identified(path) as file:
            size = file.height, file.width
        return LabelFile(image, path, size, size, None)
    reader = open_raster(path)
    assert reader is not None, path
    size = full = reader.info.size
    reader.close()
    if level:
        original = open_raster(image.path)
        assert original is not None, image.path
        full = original.info.size
        original.close()
    return LabelFile(image, path, size, full, map_place(path))
