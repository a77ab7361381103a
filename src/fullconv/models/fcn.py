"""Fully convolutional networks: FCN-32s, -16s, -8s, -4s as one class over any encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.geometry import CoordinateMap, Layer
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import EncoderNetwork, conv_norm_relu
from fullconv.ops import bilinear_kernel


class FCN(EncoderNetwork):
    """Score layers at several strides, added from coarse to fine.

    ``forward(pixels)`` takes normalised ``n c H W`` of any size from 1x1 and returns coarse logits
    ``n num_classes h w`` at stride ``self.stride`` (an image moved by ``self.coarsest_stride`` pixels gives logits
    moved by whole places); :meth:`window` says where the image lies in them. The last
    enlargement, to the image's size, is the paper's fixed bilinear one and happens inside the loss and the
    argmax (``fullconv.ops``), unless ``last`` is ``"transposed"``: then it is learned here, and the logits have the
    image's size.

    Args:
        encoder: features at the strides of ``streams``.
        num_classes: channels of the logits.
        streams: strides, coarse to fine: ``(32,)`` is FCN-32s, ``(32, 16)`` FCN-16s, ``(32, 16, 8)`` FCN-8s.
        head_channels: 0 for the paper's 1x1 score layers; otherwise each score layer is preceded by a
            3x3 convolution to this many channels with batch normalisation and ReLU.
        upscore: ``"learned"`` transposed convolutions that start as bilinear interpolation, or ``"fixed"`` ones.
        skip_scales: a factor on the features of each stream; at-once training of the paper's VGG16 uses
            ``(1, 1e-2, 1e-4)``.
        last: ``"bilinear"`` or ``"transposed"``: a transposed convolution across classes (FCN-8s: 16x16, stride 8)
            that starts as bilinear interpolation. Outside the map it sees zeros, as Caffe's and MXNet's do: within half
            a stride of the border its scores fade.

    Parameters are named by stride (``score.32``, ``upscore.16``: from the coarser stream to 16; ``upscore.1``: to the
    image), so that the weights of FCN-32s are the start of FCN-16s. Score layers start at zero, as in the paper.

    Source: Long, Shelhamer, Darrell, arXiv:1411.4038; Shelhamer et al., arXiv:1605.06211 (at-once training).
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        streams: Sequence[int] = (32, 16, 8),
        head_channels: int = 0,
        upscore: Literal["learned", "fixed"] = "learned",
        skip_scales: Sequence[float] | None = None,
        last: Literal["bilinear", "transposed"] = "bilinear",
    ) -> None:
        super().__init__(encoder, num_classes)
        self.streams = tuple(streams)
        self.stride, self.coarsest_stride = self.streams[-1], self.streams[0]
        self.last = last
        self.skip_scales = tuple(skip_scales or (1.0,) * len(self.streams))
        if len(self.skip_scales) != len(self.streams):
            raise ValueError(f"expected one skip scale per stream, found {self.skip_scales} for {self.streams}")
        if head_channels < 0:
            raise ValueError(f"head_channels must be 0 or more, found {head_channels}")
        if upscore not in ("learned", "fixed"):
            raise ValueError(f"upscore must be learned or fixed, found {upscore!r}")
        if last not in ("bilinear", "transposed"):
            raise ValueError(f"last must be bilinear or transposed, found {last!r}")
        self.score = nn.ModuleDict(
            {str(s): _score(encoder.channels[s], head_channels, num_classes) for s in self.streams}
        )
        self.upscore = nn.ModuleDict()
        self._crops: dict[int, int] = {}
        self.coordinates = encoder.coordinates[self.streams[0]]
        for coarse, fine in pairwise(self.streams):
            up = enlargement(self.coordinates, encoder.coordinates[fine], coarse // fine)
            self.upscore[str(fine)] = _upscore(num_classes, up, upscore)
            self._crops[fine], self.coordinates = up.crop, up.coordinates
        if last == "transposed":
            up = last_enlargement(self.coordinates, self.stride)
            self.upscore["1"] = _upscore(num_classes, up, "learned")
            self.stride, self.coordinates = 1, up.coordinates
        self.declare_classes(*(f"score.{s}.3" if head_channels else f"score.{s}" for s in self.streams))
        self.declare_classes(*(f"upscore.{s}" for s in self.upscore), reads=True)

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return streams_needed(args)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.features(pixels)
        total: Tensor | None = None
        for stride, scale in zip(self.streams, self.skip_scales, strict=True):
            score = self.score[str(stride)](features[stride] * scale if scale != 1 else features[stride])
            if total is None:
                total = score
            else:
                total = meet(self.upscore[str(stride)](total), score, self._crops[stride])
        assert total is not None
        return self.upscore["1"](total) if self.last == "transposed" else total


def streams_needed(args: Mapping[str, Any]) -> Needs:
    """Taps at the streams.

    Raises:
        UsageError: streams in another order, or not by whole factors.
    """
    streams = tuple(args["streams"])
    if list(streams) != sorted(streams, reverse=True) or any(a % b for a, b in pairwise(streams)):
        raise UsageError(f"streams must go from coarse to fine by whole factors, found {streams}; e.g. 32, 16, 8")
    return Needs(streams)


class Enlargement(NamedTuple):
    """A transposed convolution's shape, and what to drop of its result.

    Attributes:
        kernel, factor, padding: of the convolution.
        crop: leading places to drop so that the result meets the finer map; negative: of that one.
        coordinates: of the places that are left.
    """

    kernel: int
    factor: int
    padding: int
    crop: int
    coordinates: CoordinateMap


def enlargement(coarse: CoordinateMap, fine: CoordinateMap, factor: int) -> Enlargement:
    """How to enlarge a map by ``factor`` onto the places of a finer one."""
    kernel = 2 * factor - factor % 2
    lead = coarse.then(Layer(kernel, factor, transposed=True)).crop_to(fine)
    padding = min(max(lead, 0), factor // 2)  # drop in the convolution what would be cropped after it
    enlarged = coarse.then(Layer(kernel, factor, padding, transposed=True))
    crop = enlarged.crop_to(fine)
    return Enlargement(kernel, factor, padding, crop, fine if crop >= 0 else enlarged)


def last_enlargement(coarse: CoordinateMap, stride: int) -> Enlargement:
    """The enlargement to the image's pixels; where the image lies in the result, its window says.

    Raises:
        ValueError: the map has the image's resolution already.
    """
    if stride == 1:
        raise ValueError("the finest stream has the image's own resolution: nothing is left to enlarge")
    kernel, padding = 2 * stride - stride % 2, stride // 2
    enlarged = coarse.then(Layer(kernel, stride, padding, transposed=True))
    return Enlargement(kernel, stride, padding, 0, enlarged)


def meet(coarse: Tensor, fine: Tensor, crop: int) -> Tensor:
    """Add the two where they show the same pixels: drop ``crop`` leading places of one (negative: of the other)."""
    if crop > 0:
        coarse = coarse[:, :, crop:, crop:]
    elif crop < 0:
        fine = fine[:, :, -crop:, -crop:]
    height = min(coarse.shape[2], fine.shape[2])
    width = min(coarse.shape[3], fine.shape[3])
    return coarse[:, :, :height, :width] + fine[:, :, :height, :width]


def _upscore(num_classes: int, up: Enlargement, kind: str) -> nn.ConvTranspose2d:
    """Bilinear enlargement as a transposed convolution: across classes and learned, or per class and fixed."""
    groups = num_classes if kind == "fixed" else 1
    layer = nn.ConvTranspose2d(num_classes, num_classes, up.kernel, up.factor, up.padding, groups=groups, bias=False)
    weight = bilinear_kernel(num_classes, num_classes, up.kernel)
    with torch.no_grad():
        layer.weight.copy_(weight.sum(1, keepdim=True) if kind == "fixed" else weight)
    layer.weight.requires_grad_(kind == "learned")
    return layer


def _score(channels: int, head_channels: int, num_classes: int) -> nn.Module:
    last = nn.Conv2d(head_channels or channels, num_classes, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.get_parameter("bias"))
    if not head_channels:
        return last
    return nn.Sequential(*conv_norm_relu(channels, head_channels), last)
