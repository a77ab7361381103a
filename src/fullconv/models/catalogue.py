"""Networks, encoders and trained weights with their licences."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from torchvision.models import get_model_weights

from fullconv.models.mask_rcnn import MASK_RCNN
from fullconv.models.start import may_be_sold
from fullconv.models.torchvision_network import torchvision_networks
from fullconv.models.variants import FOREIGN, MODELS
from fullconv.models.vgg import NAME as VGG
from fullconv.models.vgg import VGG16
from fullconv.names import REGION_MODELS, SHORT_LIST


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


MEASURED_ON, MEASURED_WITH = "mobilenetv2_100", {"segnet": VGG}
"""The encoder of the networks that were measured, and those of the ones that have another."""


class Measured(NamedTuple):
    """Figures of a network on MobileNetV2 (SegNet: on VGG16), on two CPU cores; ``docs/networks.md`` says how they were
    measured.

    Attributes:
        network: with what differs from its defaults.
        parameters: in millions.
        images_per_s: of a training step.
        extra_mib: memory that a training step takes.
        mean_iou: on CamVid's val split, after 5 epochs (SegNet: 2).
    """

    network: str
    parameters: float
    images_per_s: float
    extra_mib: int
    mean_iou: float

    @property
    def model(self) -> str:
        """What ``--model`` takes."""
        return self.network.partition(",")[0]


def measured(pattern: str = "") -> list[Measured]:
    """Every network that was measured, or those that match ``pattern`` by their name or by that of their encoder."""
    lines = (Path(__file__).parent / "tables" / "networks.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    every = [
        Measured(name, float(size), float(speed), int(mib), float(score)) for name, size, speed, mib, score in rows
    ]
    return [
        one
        for one in every
        if not pattern or any(_fits(name, pattern) for name in (one.model, MEASURED_WITH.get(one.model, MEASURED_ON)))
    ]


def num_parameters(name: str) -> int:
    """Of an encoder, as networks take it, or of a whole trained network (``torchvision/NAME``, as it is published).

    Nothing is loaded. 0 where timm cannot make an encoder of it.
    """
    if name.startswith("torchvision/"):
        return int(get_model_weights(name.removeprefix("torchvision/")).DEFAULT.meta["num_params"])
    if known := _recorded().get(name):
        return known
    return counted_parameters(name)


def parameters_of(names: Sequence[str], most: int) -> dict[str, int]:
    """Of each name, as :func:`num_parameters`; 0 for those that have to be made for it where these are more than
    ``most``.
    """
    made = {name for name in names if name not in _recorded() and not name.startswith("torchvision/")}
    return {name: 0 if name in made and len(made) > most else num_parameters(name) for name in names}


@functools.cache
def _recorded() -> dict[str, int]:
    """Of timm's encoders with trained weights (timm 1.0.31), as :func:`counted_parameters` counts them."""
    lines = (Path(__file__).parent / "tables" / "parameters.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {name: int(count) for name, count in (line.split("\t") for line in lines)}


def counted_parameters(name: str) -> int:
    """Of an encoder, by making it on no device; a fraction of a second. 0 where timm cannot."""
    with torch.device("meta"):
        try:
            network = VGG16() if name == VGG else timm.create_model(name, pretrained=False, features_only=True)
        except (RuntimeError, AttributeError, AssertionError, ValueError):
            return 0
    return sum(value.numel() for value in network.parameters())


def networks(pattern: str = "") -> list[str]:
    """The names that ``--model`` takes, or those that match ``pattern``."""
    return [name for name in (*MODELS, *REGION_MODELS, *FOREIGN) if not pattern or _fits(name, pattern)]


def known_weights(pattern: str = "") -> list[Weights]:
    """Encoders with ImageNet weights, and whole trained networks, whose names match ``pattern`` (``*resnet*``).

    Without a pattern a short list; timm has more than a thousand.
    """
    rows = [Weights(f"torchvision/{name}", "BSD-3-Clause", True) for name in torchvision_networks()]
    rows += [Weights(f"torchvision/{name}", "BSD-3-Clause", True) for name in MASK_RCNN]
    rows.append(Weights(VGG, "BSD-3-Clause", True))
    for name in SHORT_LIST if not pattern else timm.list_models(pretrained=False):
        settings = timm.get_pretrained_cfg(name)
        if settings is not None and timm.is_model_pretrained(name):
            rows.append(Weights(name, settings.license or "not stated", may_be_sold(settings.license)))
    return [row for row in rows if not pattern or _fits(row.name, pattern)]


def _fits(name: str, pattern: str) -> bool:
    """Whether it holds the pattern, or is all of a glob."""
    return fnmatch.fnmatch(name, pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*")
