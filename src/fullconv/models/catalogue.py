"""Networks, encoders and trained weights with their licences."""

from __future__ import annotations

import fnmatch
from typing import NamedTuple

import timm

from fullconv.models.mask_rcnn import MASK_RCNN
from fullconv.models.torchvision_network import torchvision_networks
from fullconv.models.variants import FOREIGN, MODELS

SHORT_LIST = (
    "resnet18", "resnet34", "resnet50", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny",
    "convnextv2_tiny",
)  # fmt: skip


class Weights(NamedTuple):
    """Trained weights that a name stands for.

    Attributes:
        name: for ``--encoder``, or for MODEL where it has a slash.
        licence: as its publisher states it; ``not stated`` otherwise.
        commercial: whether the licence is one of those known to allow commercial use.
    """

    name: str
    licence: str
    commercial: bool


def networks() -> list[str]:
    """The names that ``--model`` takes."""
    return [*MODELS, *FOREIGN]


def known_weights(pattern: str = "") -> list[Weights]:
    """Encoders with ImageNet weights, and whole trained networks, whose names match ``pattern`` (``*resnet*``).

    Without a pattern a short list; timm has more than a thousand.
    """
    rows = [Weights(f"torchvision/{name}", "BSD-3-Clause", True) for name in torchvision_networks()]
    rows += [Weights(f"torchvision/{name}", "BSD-3-Clause", True) for name in MASK_RCNN]
    rows.append(Weights("vgg16", "BSD-3-Clause", True))
    for name in SHORT_LIST if not pattern else timm.list_models(pretrained=False):
        settings = timm.get_pretrained_cfg(name)
        if settings is not None and timm.is_model_pretrained(name):
            rows.append(Weights(name, settings.license or "not stated", may_be_sold(settings.license)))
    if pattern and not any(sign in pattern for sign in "*?["):
        pattern = f"*{pattern}*"
    return [row for row in rows if not pattern or fnmatch.fnmatch(row.name, pattern)]


def may_be_sold(licence: str | None) -> bool:
    """Whether a licence's name is one of those that allow commercial use."""
    return licence in ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
