"""A tiny untrained model, and an image for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fullconv.models import build_model
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

CLASSES = ClassSet(("ground", "disc", "ring"), ((1, 2, 3), (200, 0, 0), (0, 0, 200)))


def make(
    channels: int = 3, resize: tuple[int, int] | None = None, name: str = "fcn8s", encoder: str = "resnet18"
) -> Segmenter:
    torch.manual_seed(0)
    built = build_model(name, 3, encoder, in_channels=channels)
    score = built.network.score
    assert isinstance(score, nn.ModuleDict)
    for name, weight in score.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(weight)
    return Segmenter(built, CLASSES, Preprocessing.for_channels(channels, resize=resize)).to("cpu", "fp32")


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
