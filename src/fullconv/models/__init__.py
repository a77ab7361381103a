"""Image -> coarse logits: encoders, the networks over them, and the surgery that brings in trained weights.

Names are imported on first use: synsets are looked up without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullconv.models.build import BuiltModel, build_model
    from fullconv.models.encoder import Encoder
    from fullconv.models.fcn import FCN
    from fullconv.models.timm_encoder import TimmEncoder
    from fullconv.models.variants import MODELS
    from fullconv.models.vgg import VGG16
    from fullconv.models.weights import TransplantReport, read_weights, transplant

_HOMES = {
    "FCN": "fcn", "MODELS": "variants", "VGG16": "vgg", "BuiltModel": "build", "Encoder": "encoder",
    "TimmEncoder": "timm_encoder", "TransplantReport": "weights", "build_model": "build", "read_weights": "weights",
    "transplant": "weights",
}  # fmt: skip

__all__ = [
    "FCN",
    "MODELS",
    "VGG16",
    "BuiltModel",
    "Encoder",
    "TimmEncoder",
    "TransplantReport",
    "build_model",
    "read_weights",
    "transplant",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fullconv.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fullconv.models.{_HOMES[name]}"), name)
