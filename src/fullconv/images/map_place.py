"""Where a georeferenced TIFF file lies, in numbers: map coordinates of its pixels, and how large these are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fullconv.gdal import CACHE, has_gdal, without_georeference

MERCATOR = 3857
"""EPSG's number of the web's maps, whose metres are larger the farther they lie from the equator."""


class MapPlace(NamedTuple):
    """Where a raster lies.

    Attributes:
        affine: a, b, c, d, e, f of ``x = a column + b row + c``, ``y = d column + e row + f``.
        crs: the coordinate reference system, as rasterio has it; None where none is stated.
        square_metres: of a pixel in the plane of a projection; None: not in one.
    """

    affine: tuple[float, float, float, float, float, float]
    crs: Any
    square_metres: float | None

    def coordinates(self, pixels: np.ndarray) -> np.ndarray:
        """Places ``[n, 2]``, column and row from the raster's corner -> map coordinates x and y."""
        a, b, c, d, e, f = self.affine
        x, y = pixels.T
        return np.stack((a * x + b * y + c, d * x + e * y + f), 1)

    def degrees(self, pixels: np.ndarray) -> np.ndarray:
        """As :meth:`coordinates`, but longitude and latitude in WGS 84."""
        from rasterio.warp import transform

        x, y = self.coordinates(pixels).T
        return np.stack(transform(self.crs, "EPSG:4326", x, y)[:2], 1)

    @property
    def why_no_metres(self) -> str:
        """Why areas on the earth are not known, or not to be trusted; empty where they are."""
        if self.crs is None:
            return "no projection (CRS) is stated, so areas have no square metres"
        if self.square_metres is None:
            return "coordinates are degrees, so areas have no square metres; project it (gdalwarp -t_srs)"
        if self.crs.to_epsg() == MERCATOR:
            return "metres of EPSG:3857 grow with the latitude, so areas are too large; use another projection"
        return ""


def map_place(path: Path) -> MapPlace | None:
    """Where a TIFF file lies; None where it states no affine place, or the extra ``raster`` is not installed."""
    if not has_gdal():
        return None
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=CACHE), without_georeference(), rasterio.open(path, driver="GTiff") as file:
        if file.transform.is_identity:
            return None
        a, b, c, d, e, f = tuple(file.transform)[:6]
        metres = None
        if file.crs is not None and file.crs.is_projected:
            metres = abs(a * e - b * d) * file.crs.linear_units_factor[1] ** 2
        return MapPlace((a, b, c, d, e, f), file.crs, metres)
