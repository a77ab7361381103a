"""GDAL, which the package rasterio brings: imported where a raster is opened, since that changes the environment."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from fullconv.libraries import installed

CACHE = 128
"""MB of decoded blocks; GDAL's own default is a share of the machine's memory."""


def has_gdal() -> bool:
    """Whether the extra ``raster`` is installed."""
    return installed("rasterio")


_WARNINGS = threading.Lock()


@contextlib.contextmanager
def without_georeference() -> Iterator[None]:
    """Keep GDAL quiet about pictures that lie nowhere on earth.

    One thread at a time: Python's filters of warnings belong to the process, and two threads that set them back in
    turn (rasterio does so inside some of its calls too) let warnings out.
    """
    from rasterio.errors import NotGeoreferencedWarning

    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
