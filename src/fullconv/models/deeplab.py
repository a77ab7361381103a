"""DeepLab's heads and the context module, over an encoder whose last stages are dilated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import EncoderNetwork, conv_norm_relu


class DeepLab(EncoderNetwork):
    """Scores from one dilated feature map.

    Args:
        encoder: one tap, at ``output_stride``; its later stages are dilated instead of strided.
        num_classes: channels of the logits.
        output_stride: 8 (the papers') or 16.
        head: ``"large-fov"`` (one 3x3 convolution of dilation 12), ``"aspp"`` (dilations 6, 12, 18, 24, their scores
            added) or ``"aspp-pool"`` (1x1, three dilations and the image's mean, concatenated: version 3).
        head_channels: of the convolutions in the head.
        dropout: before the score layer.

    Source: Chen et al., arXiv:1412.7062 (LargeFOV), arXiv:1606.00915 (ASPP), arXiv:1706.05587 (with pooling).
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        output_stride: int = 8,
        head: Literal["large-fov", "aspp", "aspp-pool"] = "aspp-pool",
        head_channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(encoder, num_classes)
        self.stride = self.coarsest_stride = output_stride
        self.coordinates = encoder.coordinates[output_stride]
        channels = encoder.channels[output_stride]
        self.head: nn.Module
        if head == "large-fov":
            self.head = _branch(channels, head_channels, 12, num_classes, dropout)
            self.declare_classes("head.3")
        elif head == "aspp":
            self.head = _Sum([_branch(channels, head_channels, rate, num_classes, dropout) for rate in (6, 12, 18, 24)])
            self.declare_classes(*(f"head.{index}.3" for index in range(len(self.head))))
        elif head == "aspp-pool":
            rates = (6, 12, 18) if output_stride == 16 else (12, 24, 36)
            self.head = _PooledPyramid(channels, head_channels, rates, num_classes, dropout)
            self.declare_classes("head.project.2")
        else:
            raise ValueError(f"head must be large-fov, aspp or aspp-pool, found {head!r}")

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        stride = args.get("output_stride", 8)
        if stride not in (8, 16):
            raise UsageError(f"output_stride must be 8 or 16, found {stride!r}")
        return Needs((stride,), output_stride=stride, head=False)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pixels)[self.stride])
        return logits


class Dilated(EncoderNetwork):
    """A front end at stride 8 and the context module: 3x3 convolutions of growing dilation on the class scores.

    The context module starts as the identity on scores above zero, as in the paper; its ReLUs cut off those below. The
    paper trains the front end first: ``dilations: []`` is the front end alone, and ``--init-from`` its run starts the
    whole. Trained at once, as by default, both learn together.

    Args:
        encoder: one tap, at stride 8; its later stages are dilated instead of strided.
        num_classes: channels of the logits.
        dilations: of the context module's 3x3 layers; empty for the front end alone.

    Source: Yu & Koltun, arXiv:1511.07122, table 1 (basic module) and equation 4 (identity initialisation).
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        dilations: Sequence[int] = (1, 1, 2, 4, 8, 16, 1),
        dropout: float = 0.5,
    ) -> None:
        super().__init__(encoder, num_classes)
        self.stride = self.coarsest_stride = 8
        self.coordinates = encoder.coordinates[8]
        self.score = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(encoder.channels[8], num_classes, 1))
        layers: list[nn.Module] = []
        for dilation in dilations:
            layers += [_identity(num_classes, 3, dilation), nn.ReLU(inplace=True)]
        if layers:
            layers.append(_identity(num_classes, 1, 1))
        self.context = nn.Sequential(*layers)
        self.declare_classes("score.1")
        self.declare_classes(*(f"context.{index}" for index in range(0, len(layers), 2)), reads=True)

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs((8,), output_stride=8)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.context(self.score(self.features(pixels)[8]))
        return logits


def _identity(channels: int, kernel: int, dilation: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.dirac_(layer.weight)
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


def _branch(channels: int, middle: int, dilation: int, num_classes: int, dropout: float) -> nn.Sequential:
    """One 3x3 of ``dilation``, one 1x1, the scores: fc6, fc7, fc8 of the papers."""
    return nn.Sequential(
        conv_norm_relu(channels, middle, 3, dilation),
        conv_norm_relu(middle, middle, 1),
        nn.Dropout2d(dropout),
        nn.Conv2d(middle, num_classes, 1),
    )


class _Sum(nn.ModuleList):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self]).sum(0)


class _PooledPyramid(nn.Module):
    def __init__(self, channels: int, middle: int, rates: Sequence[int], num_classes: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [conv_norm_relu(channels, middle, 1), *(conv_norm_relu(channels, middle, 3, rate) for rate in rates)]
        )
        # no norm: the mean of one image is one value a channel
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, middle, 1), nn.ReLU(inplace=True))
        self.project = nn.Sequential(
            conv_norm_relu((len(rates) + 2) * middle, middle, 1),
            nn.Dropout2d(dropout),
            nn.Conv2d(middle, num_classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        parts.append(self.pool(x).expand_as(parts[0]))
        logits: Tensor = self.project(torch.cat(parts, 1))
        return logits
