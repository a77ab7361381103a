"""COCO-Stuff's pixel maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = {"train2017": ("000000000009", "000000000025"), "val2017": ("000000000139",)}
RAW = np.array([[0, 90, 91], [181, 255, 15]], np.uint8)


def build(root: Path, images: str, masks: str) -> Path:
    for part, names in NAMES.items():
        (root / images / part).mkdir(parents=True)
        (root / masks / part).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (3, 2)).save(root / images / part / f"{name}.jpg")
            Image.fromarray(RAW).save(root / masks / part / f"{name}.png")
    return root
