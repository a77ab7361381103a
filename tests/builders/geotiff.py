"""A GeoTIFF with its projection, and the picture in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.builders import models

HEIGHT, WIDTH = 420, 300
PIXELS = models.picture(HEIGHT, WIDTH)


TRANSFORM = (33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True)


KEYS = (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True)


def geotiff(path: Path, pixels: np.ndarray = PIXELS, *, nodata: int | None = None, projected: bool = True) -> Path:
    tags: list[Any] = [*TRANSFORM, *([KEYS] if projected else [])]
    tags += [(42113, "s", 0, str(nodata), True)] if nodata is not None else []
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), compression="zlib", extratags=tags, metadata=None)
    return path


def only_the_labels(folder: Path, *names: str) -> None:
    assert sorted(os.listdir(folder) if folder.exists() else []) == sorted(names)
