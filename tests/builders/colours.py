"""A model that sees classes by their colours, and data in these colours: what it knows is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from fullconv.geometry import Window
from fullconv.models.context import Context
from fullconv.runner import RunModel
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

COLOURS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))
CLASSES = ClassSet(("background", "disc", "ring"), COLOURS)
SIZE = (48, 64)


class ColourRunner:
    """Logits at the image's own size: the nearer a pixel's colour is to a class's, the higher its score."""

    device = torch.device("cpu")
    precision = "fp32"
    coarsest_stride = 1
    side_by_side = False
    context = Context(0, True)

    def __str__(self) -> str:
        return "colours, fp32 on cpu"

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        colours = torch.tensor(COLOURS, dtype=torch.float32)
        away = (pixels.float()[:, None] - colours[None, :, :, None, None]).abs().sum(2)
        return -away / 40, Window(0, 0, *pixels.shape[-2:])

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        raise AssertionError


def segmenter() -> Segmenter:
    config = {"name": "colours", "encoder": "none"}
    return Segmenter(RunModel(ColourRunner(), config), CLASSES, Preprocessing.for_channels(3))


def scene(number: int) -> np.ndarray:
    """Labels: a disc and a ring, which is a frame, somewhere on background."""
    random = np.random.default_rng(number)
    labels = np.zeros(SIZE, np.uint8)
    top, left = random.integers(2, 10, 2)
    labels[top : top + 14, left : left + 14] = 1
    labels[26:46, 30 + left : 50 + left] = 2
    labels[33:39, 37 + left : 43 + left] = 0
    return labels


def picture(labels: np.ndarray) -> np.ndarray:
    return np.array(COLOURS, np.uint8)[labels]


def folder(root: Path, masked: int = 6, bare: int = 0) -> Path:
    """``masked`` images with a mask and ``bare`` ones without, in plain folders with a description."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(masked + bare):
        labels = scene(number)
        Image.fromarray(picture(labels)).save(root / "images" / f"scene_{number}.png")
        if number < masked:
            Image.fromarray(labels).save(root / "masks" / f"scene_{number}.png")
    names = dict(zip(CLASSES.names, map(list, COLOURS), strict=True))
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": names}), encoding="utf-8")
    return root
