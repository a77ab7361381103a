"""U-Net over any encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import same_map
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import EncoderNetwork, conv_norm_relu, on_the_grid

STRIDES = (32, 16, 8, 4, 2)


class UNet(EncoderNetwork):
    """An encoder's taps at strides 32 to 2, joined from coarse to fine by doubling and concatenation.

    Args:
        encoder: taps at all of :data:`STRIDES`.
        num_classes: channels of the logits.
        decoder_channels: after each of the four doublings.
        upsampling: ``"transposed"`` (3x3, stride 2, learned), ``"tensorflow"`` (the same where TensorFlow's ``same``
            padding puts it, with that tutorial's norms and start) or ``"interpolate"`` (bilinear, then a 3x3
            convolution).
        last: ``"transposed"`` doubles to full size with a learned transposed convolution; ``"bilinear"`` scores at
            stride 2 and leaves the rest to the loss and the argmax, which is faster.

    Source: Ronneberger et al., arXiv:1505.04597; the decoder of TensorFlow's segmentation tutorial (512, 256, 128, 64).
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        decoder_channels: Sequence[int] = (512, 256, 128, 64),
        upsampling: Literal["transposed", "tensorflow", "interpolate"] = "transposed",
        last: Literal["transposed", "bilinear"] = "transposed",
    ) -> None:
        super().__init__(encoder, num_classes)
        if len(decoder_channels) != len(STRIDES) - 1 or min(decoder_channels) < 1:
            raise ValueError(f"decoder_channels must be {len(STRIDES) - 1} positive numbers, found {decoder_channels}")
        kinds = ("transposed", "tensorflow", "interpolate")
        if upsampling not in kinds or last not in ("transposed", "bilinear"):
            raise ValueError(
                "upsampling is transposed, tensorflow or interpolate, last is transposed or bilinear; "
                f"found {upsampling!r} and {last!r}"
            )
        on_the_grid(encoder, "unet")
        self.stride, self.coarsest_stride = (1 if last == "transposed" else 2), STRIDES[0]
        self.coordinates = same_map(self.stride)
        self.up = nn.ModuleDict()
        channels = encoder.channels[STRIDES[0]]
        for stride, out in zip(STRIDES[1:], decoder_channels, strict=True):
            self.up[str(stride)] = _Double(channels, out, upsampling)
            channels = out + encoder.channels[stride]
        self.score: nn.Module
        if last == "transposed" and upsampling == "tensorflow":
            doubled = nn.ConvTranspose2d(channels, num_classes, 3, 2)
            nn.init.xavier_uniform_(doubled.weight)
            nn.init.zeros_(doubled.get_parameter("bias"))
            self.score = nn.Sequential(doubled, _DropLast())
        elif last == "transposed":
            self.score = nn.ConvTranspose2d(channels, num_classes, 3, 2, 1, output_padding=1)
        else:
            self.score = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.declare_classes("score.0" if isinstance(self.score, nn.Sequential) else "score")

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs(STRIDES)

    def forward(self, pixels: Tensor) -> Tensor:
        taps = self.features(pixels)
        x = taps[STRIDES[0]]
        for stride in STRIDES[1:]:
            x = torch.cat([self.up[str(stride)](x), taps[stride]], 1)
        logits: Tensor = self.score(x)
        return logits


class _Double(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, upsampling: str) -> None:
        super().__init__()
        self.interpolated = upsampling == "interpolate"
        if self.interpolated:
            self.layer = conv_norm_relu(in_channels, out_channels)
        elif upsampling == "tensorflow":
            up = nn.ConvTranspose2d(in_channels, out_channels, 3, 2, bias=False)
            nn.init.normal_(up.weight, std=0.02)
            norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
            self.layer = nn.Sequential(up, _DropLast(), norm, nn.ReLU(inplace=True))
        else:
            up = nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1, bias=False)
            self.layer = nn.Sequential(up, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        if self.interpolated:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        doubled: Tensor = self.layer(x)
        return doubled


class _DropLast(nn.Module):
    """TensorFlow's ``same`` padding of a 3x3 transposed convolution of stride 2: without its last row and column."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :-1, :-1]
