"""Plain folders of images and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

Make = Callable[..., Path]
"""The fixture ``make_folder``: a plain folder of so many scenes, and its path."""


def small_pair(folder: Path, name: str, value: int, masks: str = "masks", suffix: str = "") -> None:
    for kind in ("images", masks):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (value * 40, 0, 0)).save(folder / "images" / f"{name}.png")
    Image.new("L", (20, 16), value).save(folder / masks / f"{name}{suffix}.png")


def side_by_side(folder: Path, names: str = "abcdef", ending: str = "_mask", seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng([seed, len(folder.as_posix())])
    for name in names:
        Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).save(folder / f"{name}.jpg")
        Image.fromarray(random.integers(0, 3, (6, 8), np.uint8)).save(folder / f"{name}{ending}.png")
    return folder


MASK = np.zeros((32, 32), np.uint8)
MASK[4:12, 4:20] = 1
MASK[20:30, 2:30] = 2
THREE = [616, 128, 280]
"""Pixels of each class in ``MASK``."""


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)


def mask_file(path: Path, values: np.ndarray = MASK) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def pairs(root: Path, count: int = 6) -> None:
    for number in range(count):
        picture(root / "images" / f"{number}.png", number)
        mask_file(root / "masks" / f"{number}.png")


def describe(root: Path, **fields: object) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump(fields))
