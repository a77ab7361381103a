"""Image files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL
from PIL import Image

YCBCR = ("YCbCr",) if int(PIL.__version__.partition(".")[0]) >= 13 else ()
"""A mode that older versions of Pillow write into TIFF files and cannot read from there."""


def save_mask(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(path)
