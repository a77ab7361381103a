"""Polygons drawn again, by GDAL: a pixel is of the polygon that holds its centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from rasterio.features import rasterize

from fullconv.polygons.trace import ClassPolygon


def drawn(found: Sequence[ClassPolygon], size: tuple[int, int], void: int = 255) -> np.ndarray:
    """Labels of ``(height, width)``."""
    return rasterize([(piece.shape, piece.label) for piece in found] or [(shapely.box(-2, -2, -1, -1), 0)], size, void)
