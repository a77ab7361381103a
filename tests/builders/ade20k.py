"""The list of names of ADE20K, and raw values of its masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

RAW = np.array([[0, 1, 2, 13], [150, 149, 0, 21]], np.uint8)


def info(names: list[str]) -> str:
    rows = [f"{index}\t0.1\t10\t1\t{name}\n" for index, name in enumerate(names, 1)]
    return "Idx\tRatio\tTrain\tVal\tName\n" + "".join(rows)


def one(root: Path, part: str = "training") -> None:
    """An image with its mask in one of the two parts."""
    name = f"ADE_{'train' if part == 'training' else 'val'}_00000001"
    for kind in ("images", "annotations"):
        (root / kind / part).mkdir(parents=True)
    Image.new("RGB", (4, 2)).save(root / "images" / part / f"{name}.jpg")
    Image.fromarray(RAW).save(root / "annotations" / part / f"{name}.png")
