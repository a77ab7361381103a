"""Folders of images with other values than 8-bit colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from fullconv.data import DatasetSpec, read_sample
from tests.builders.images import save_mask

MASK = np.zeros((32, 32), np.uint8)
MASK[4:12, 4:20], MASK[20:30, 2:30] = 1, 2
Draw = Callable[[np.random.Generator], np.ndarray]


def folder(root: Path, draw: Draw, count: int = 6, suffix: str = ".tif", **options: Any) -> Path:
    """Images and masks of three classes, image ``k`` by ``draw(generator k)``."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for k in range(count):
        write(root / "images" / f"{k}{suffix}", draw(np.random.default_rng(k)), **options)
        save_mask(root / "masks" / f"{k}.png", MASK)
    return root


def write(path: Path, array: np.ndarray, **options: Any) -> None:
    if path.suffix == ".tif":
        colours = "rgb" if array.ndim == 3 and array.shape[2] == 3 else "minisblack"
        given = {"photometric": colours, "planarconfig": "contig", "metadata": None, **options}
        tifffile.imwrite(path, array, **given)
    elif path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def reflectance(random: np.random.Generator) -> np.ndarray:
    return random.integers(200, 4000, (32, 32, 3)).astype(np.uint16)


def nodata_and_inf(random: np.random.Generator) -> np.ndarray:
    array = (random.random((32, 32, 3)) * 0.4).astype(np.float32)
    array[:3] = -9999
    array[5, 5] = np.inf
    array[6, 6, 1] = np.nan
    return array


def levels(spec: DatasetSpec) -> int:
    """Of the first channel, over all images of train."""
    return len(np.unique([read_sample(spec, item).image[..., 0] for item in spec.splits["train"]]))


def said(spec: DatasetSpec) -> str:
    return "\n".join(spec.reasons)
