"""The FCN whose decoder is as wide as the encoder's taps: ``decoder: wide`` of the FCNs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from fullconv.models.encoder import Encoder, Needs
from fullconv.models.fcn import Enlargement, enlargement, last_enlargement, meet, streams_needed
from fullconv.models.network import EncoderNetwork


class WideFCN(EncoderNetwork):
    """The coarsest tap is scored; the scores are widened again to each finer tap and added to its raw features.

    With VGG16 and strides 32, 16, 8: a 1x1 convolution to the classes, a 4x4 transposed convolution of stride 2 to 512
    channels plus pool4, one to 256 plus pool3, a 16x16 of stride 8 to the classes. ``forward`` returns logits of the
    image's size. There is nothing but a sum between the layers, so that skips have no score layers of their own.

    Args:
        encoder: features at the strides of ``streams``.
        num_classes: channels of the logits.
        streams: strides, coarse to fine.

    Parameters are named as :class:`fullconv.models.fcn.FCN`'s: ``score.32``, ``upscore.16``, ``upscore.8``,
    ``upscore.1``. They start as TensorFlow's layers do: Glorot's uniform kernels, biases of zero.

    Source: the KITTI Road exercise of Udacity's self-driving-car course in the form that many blogs give it.
    """

    def __init__(self, encoder: Encoder, num_classes: int, streams: Sequence[int] = (32, 16, 8)) -> None:
        super().__init__(encoder, num_classes)
        self.streams = tuple(streams)
        self.coarsest_stride, finest = self.streams[0], self.streams[-1]
        self.score = nn.ModuleDict(
            {str(self.coarsest_stride): nn.Conv2d(encoder.channels[self.streams[0]], num_classes, 1)}
        )
        self.upscore = nn.ModuleDict()
        self._crops: dict[int, int] = {}
        self.coordinates, channels = encoder.coordinates[self.coarsest_stride], num_classes
        for coarse, fine in pairwise(self.streams):
            up = enlargement(self.coordinates, encoder.coordinates[fine], coarse // fine)
            self.upscore[str(fine)] = _transposed(channels, encoder.channels[fine], up)
            self._crops[fine], self.coordinates, channels = up.crop, up.coordinates, encoder.channels[fine]
        up = last_enlargement(self.coordinates, finest)
        self.upscore["1"] = _transposed(channels, num_classes, up)
        self.stride, self.coordinates = 1, up.coordinates
        first, *_, last = [f"score.{self.coarsest_stride}", *(f"upscore.{s}" for s in self.upscore)]
        self.declare_classes(first)
        between = len(self.streams) > 1
        if between:
            self.declare_classes(f"upscore.{self.streams[1]}", reads=True, writes=False)
        self.declare_classes(last, reads=not between)
        for layer in (*self.score.values(), *self.upscore.values()):
            nn.init.xavier_uniform_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return streams_needed(args)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.features(pixels)
        total: Tensor = self.score[str(self.coarsest_stride)](features[self.coarsest_stride])
        for stride in self.streams[1:]:
            total = meet(self.upscore[str(stride)](total), features[stride], self._crops[stride])
        logits: Tensor = self.upscore["1"](total)
        return logits


def _transposed(in_channels: int, out_channels: int, up: Enlargement) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, up.kernel, up.factor, up.padding)
