"""A small network and a picture for tests of tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from fullconv.models import build_model
from fullconv.models.network import SegmentationNetwork
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing


def segmenter(name: str, encoder: str, args: dict[str, Any], encoder_args: dict[str, Any] | None = None) -> Segmenter:
    """Random weights, every class somewhere."""
    torch.manual_seed(0)
    built = build_model(name, 3, encoder, model_args=args, encoder_args=encoder_args)
    network = built.network
    assert isinstance(network, SegmentationNetwork)
    for key in network.class_axes:
        value = network.get_parameter(key)
        if not key.endswith("bias") and not value.any():
            nn.init.normal_(value)
    return Segmenter(built, ClassSet(("a", "b", "c")), Preprocessing()).to("cpu", "fp32")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


SHALLOW = {"streams": [8, 4]}
