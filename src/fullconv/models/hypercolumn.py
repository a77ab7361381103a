"""Hypercolumns: every place described by the features of all depths above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import same_map
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import EncoderNetwork, conv_norm_relu, on_the_grid

STRIDES = (32, 16, 8, 4)


class Hypercolumn(EncoderNetwork):
    """Taps of several strides, each brought to ``column_channels``, enlarged to the finest and classified together.

    Args:
        encoder: taps at ``strides``.
        num_classes: channels of the logits.
        strides: fine to coarse or coarse to fine; the logits have the finest.
        column_channels: of each tap in the column.
        hidden: channels of the 1x1 layer between the column and the scores.

    The paper classifies pixels by a grid of linear classifiers on such columns; here it is a 1x1 network, as its
    section 3.2 derives (an upsampled sum of per-tap convolutions).

    Source: Hariharan et al., arXiv:1411.5752.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        strides: Sequence[int] = STRIDES,
        column_channels: int = 64,
        hidden: int = 128,
    ) -> None:
        super().__init__(encoder, num_classes)
        on_the_grid(encoder, "hypercolumn")
        self.strides = tuple(sorted(strides, reverse=True))
        self.stride, self.coarsest_stride = self.strides[-1], self.strides[0]
        self.coordinates = same_map(self.stride)
        self.reduce = nn.ModuleDict({str(s): conv_norm_relu(encoder.channels[s], column_channels, 1) for s in strides})
        self.classify = nn.Sequential(
            conv_norm_relu(column_channels * len(self.strides), hidden, 1), nn.Conv2d(hidden, num_classes, 1)
        )
        self.declare_classes("classify.1")

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs(tuple(args.get("strides", STRIDES)))

    def forward(self, pixels: Tensor) -> Tensor:
        taps = self.features(pixels)
        size = taps[self.stride].shape[-2:]
        column = []
        for stride in self.strides:
            part = self.reduce[str(stride)](taps[stride])
            if stride != self.stride:
                part = F.interpolate(part, size, mode="bilinear", align_corners=False)
            column.append(part)
        logits: Tensor = self.classify(torch.cat(column, 1))
        return logits
