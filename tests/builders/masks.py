"""Mask files of three classes, stored in every way."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fullconv.images.encoding import MaskEncoding

IDS = np.random.default_rng(0).integers(0, 3, (11, 14)).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [255, 255, 255], [200, 10, 30]], np.uint8)
NAMED = MaskEncoding(colours={(0, 0, 0): 0, (255, 255, 255): 1, (200, 10, 30): 2})


def palette_file(order: np.ndarray) -> Image.Image:
    """``IDS`` as a palette image whose value ``order[i]`` has the colour of class ``i``."""
    image = Image.fromarray(order[IDS].astype(np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[order] = COLOURS
    image.putpalette(table.ravel().tolist())
    return image


PLANES = np.stack([IDS == 1, IDS == 2])
