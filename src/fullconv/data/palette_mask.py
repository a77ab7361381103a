"""Palette masks whose colours, not their values, say which class a pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.errors import DataError
from fullconv.images.files import opened
from fullconv.spec import Colour


@dataclass(frozen=True)
class PaletteMask:
    """A palette mask whose colours, not its values, say which class a pixel is."""

    path: Path
    colours: dict[Colour, int]
    voids: tuple[Colour, ...]

    def read(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it.

        Raises:
            DataError: a colour that stands for no class, or a damaged file.
        """
        with opened(self.path) as picture:
            values = np.array(picture)
            palette = np.array(picture.getpalette("RGB")).reshape(-1, 3)
        ids = {**self.colours, **dict.fromkeys(self.voids, ignore_index)}
        table = np.array([ids.get((int(r), int(g), int(b)), -1) for r, g, b in palette], np.int32)
        table = np.concatenate([table, np.full(256 - len(table), -1, np.int32)])
        labels = table[values]
        if (labels < 0).any():
            row, column = (int(place) for place in np.argwhere(labels < 0)[0])
            value = int(values[row, column])
            colour = tuple(palette[value].tolist()) if value < len(palette) else "none"
            raise DataError(
                f"{self.path}: colour {colour} (value {value}) at row {row}, column {column} stands for no class; "
                "add it to the list of colours, or export the mask again"
            )
        return labels.astype(np.uint8 if ignore_index <= 255 else np.int32)
