"""A tiny network that is exported in a second, with the header of a real one."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import CoordinateMap
from fullconv.models import build_model
from fullconv.models.build import BuiltModel
from fullconv.models.encoder import Encoder
from fullconv.models.network import EncoderNetwork
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

CLASSES = ClassSet(tuple("abcdef"))


class Cells(Encoder):
    """Means of ``stride x stride`` pixels."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.size_multiple = self.stride = stride

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        return {self.stride: F.avg_pool2d(pixels, self.stride)}


class Tiny(EncoderNetwork):
    """Scores of the mean colour of cells, which look where ``offset`` says."""

    def __init__(self, stride: int, offset: Fraction, channels: int, classes: int) -> None:
        super().__init__(Cells(stride), classes)
        self.stride = self.coarsest_stride = stride
        self.coordinates = CoordinateMap(Fraction(stride), offset)
        self.score = nn.Conv2d(channels, classes, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.score(self.features(pixels)[self.stride])
        return scores


def tiny(
    stride: int = 8, offset: Fraction | None = None, channels: int = 3, classes: ClassSet = CLASSES,
    resize: tuple[int, int] | None = None,
) -> Segmenter:  # fmt: skip
    torch.manual_seed(1)
    network = Tiny(stride, Fraction(stride - 1, 2) if offset is None else offset, channels, len(classes))
    with torch.device("meta"):
        config = build_model("fcn32s", len(classes), "resnet10t", in_channels=channels).config
    built = BuiltModel(network=network, config=config)
    segmenter = Segmenter(built, classes, Preprocessing.for_channels(channels, resize=resize), {"source": "a test"})
    return segmenter.to("cpu", "fp32")


def outlier(classes: int) -> nn.Module:
    """Scores through two maps, of which one is a million times larger than the one that decides, and counts little."""
    first, last = nn.Conv2d(3, 2, 1), nn.Conv2d(2, classes, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1e5, 1e5, 1e5], [0.1, -0.1, 0.1]])[..., None, None])
        last.weight.zero_()
        last.weight[:, 1, 0, 0] = torch.linspace(-1, 1, classes)
        last.bias.copy_(-0.05 * torch.linspace(-1, 1, classes).square())
    return nn.Sequential(first, nn.Identity(), last)
