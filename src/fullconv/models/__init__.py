"""Image -> coarse logits: encoders, the networks over them, and the surgery that brings in trained weights."""

from fullconv.models.build import BuiltModel, build_model
from fullconv.models.encoder import Encoder
from fullconv.models.fcn import FCN
from fullconv.models.timm_encoder import TimmEncoder
from fullconv.models.variants import MODELS
from fullconv.models.vgg import VGG16
from fullconv.models.weights import TransplantReport, read_weights, transplant

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
