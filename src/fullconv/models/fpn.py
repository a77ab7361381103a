"""Feature pyramid network with the semantic head of Panoptic FPN."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import same_map
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import EncoderNetwork, conv_norm_relu, on_the_grid

STRIDES = (32, 16, 8, 4)


class FPN(EncoderNetwork):
    """A pyramid of equal channels, built from coarse to fine; its levels are brought to stride 4 and added.

    Args:
        encoder: taps at all of :data:`STRIDES`.
        num_classes: channels of the logits.
        pyramid_channels: of every level of the pyramid.
        head_channels: of the 3x3 convolutions that bring a level to stride 4, one for each doubling.
        dropout: before the score layer.

    Source: Lin et al., arXiv:1612.03144 (pyramid); Kirillov et al., arXiv:1901.02446, figure 3 (head, here with batch
    instead of group normalisation).
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        pyramid_channels: int = 256,
        head_channels: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(encoder, num_classes)
        on_the_grid(encoder, "fpn")
        self.stride, self.coarsest_stride, self.coordinates = STRIDES[-1], STRIDES[0], same_map(STRIDES[-1])
        self.lateral = nn.ModuleDict({str(s): nn.Conv2d(encoder.channels[s], pyramid_channels, 1) for s in STRIDES})
        self.head = nn.ModuleDict()
        for stride in STRIDES:
            doublings = (stride // STRIDES[-1]).bit_length() - 1
            widths = [pyramid_channels] + [head_channels] * max(1, doublings)
            layers = [conv_norm_relu(a, b) for a, b in pairwise(widths)]
            self.head[str(stride)] = nn.ModuleList(layers)
        self.score = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(head_channels, num_classes, 1))
        self.declare_classes("score.1")

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs(STRIDES)

    def forward(self, pixels: Tensor) -> Tensor:
        taps = self.features(pixels)
        level: Tensor | None = None
        total: Tensor | None = None
        for stride in STRIDES:
            lateral = self.lateral[str(stride)](taps[stride])
            level = lateral if level is None else lateral + F.interpolate(level, scale_factor=2, mode="nearest")
            x = level
            for layer in self.head[str(stride)].children():
                x = layer(x)
                if stride != STRIDES[-1]:
                    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            total = x if total is None else total + x
        logits: Tensor = self.score(total)
        return logits
