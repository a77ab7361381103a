"""GDAL, which the package rasterio brings: imported where a raster is opened, since that changes the environment."""

from __future__ import annotations

from fullconv.libraries import installed

CACHE = 128
"""MB of decoded blocks; GDAL's own default is a share of the machine's memory."""


def has_gdal() -> bool:
    """Whether the extra ``raster`` is installed."""
    return installed("rasterio")
