"""What a network needs to know of its encoder, and asks of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import CoordinateMap, round_up
from fullconv.models.kept_features import KeptFeatures
from fullconv.models.weights import TransplantReport
from fullconv.spec import IMAGENET_MEAN, IMAGENET_STD


class Needs(NamedTuple):
    """What a network asks of its encoder.

    Attributes:
        strides: of the taps.
        output_stride: where the encoder's last stages are dilated instead of strided; None: they are as they are.
        head: whether layers that the classifier has after its last feature map (VGG's fc6 and fc7) are wanted; not
            where the network has what stands for them.
    """

    strides: tuple[int, ...]
    output_stride: int | None = None
    head: bool = True


class TrainedWeights(NamedTuple):
    """A trained classifier's parameters by its own names, the mean and std of its images, and the licence."""

    state: Mapping[str, Tensor]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    licence: str = ""


class Encoder(nn.Module):
    """A classification network without its head, tapped at several strides.

    Attributes:
        channels: ``{stride: channels}`` of the taps.
        coordinates: ``{stride: CoordinateMap}``, where the places of each tap look in the image.
        size_multiple: images are padded to a multiple of this on the right and at the bottom
            (1 when the encoder pads for itself).
        sees_everything: every place depends on all of the image, by attention.

    ``forward(pixels)`` takes normalised ``n c H W`` and returns ``{stride: features n c h w}``.
    """

    channels: dict[int, int]
    coordinates: dict[int, CoordinateMap]
    size_multiple: int
    sees_everything = False
    kept: KeptFeatures | None = None
    """Of a frozen encoder, while it is trained on: what it gave of images that come again."""

    def __call__(self, pixels: Tensor) -> dict[int, Tensor]:
        plain = super().__call__
        if self.kept is None or self.backbone is not self:
            found: dict[int, Tensor] = plain(pixels)
            return found
        kept: dict[int, Tensor] = self.kept.of(plain, pixels)
        return kept

    @property
    def backbone(self) -> nn.Module:
        """The part that trained weights are of: what ``encoder_rate`` is the rate of, and what can be frozen."""
        return self

    @classmethod
    @abstractmethod
    def arguments(cls) -> Mapping[str, Any]:
        """``{name: type}`` of ``encoder_args``: what means architecture, and nothing else."""

    @classmethod
    @abstractmethod
    def make(cls, name: str, needs: Needs, in_channels: int, args: Mapping[str, Any]) -> Encoder:
        """The encoder of that name, with random weights.

        Raises:
            UsageError: no such encoder, or arguments that it does not take.
        """

    @abstractmethod
    def load(self, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
        """Take over trained weights, under the names of the library that has such networks, or under its own.

        Args:
            origin: where they are from, for messages.

        Raises:
            UsageError, ModelFileError: weights of another network.
        """

    @abstractmethod
    def imagenet(self) -> TrainedWeights:
        """Weights trained on ImageNet, for :meth:`load`; downloaded once.

        Raises:
            UsageError: there are none, or they cannot be had.
        """

    def pad(self, pixels: Tensor) -> Tensor:
        """Append zeros (the mean colour, after normalisation) until both sides are multiples."""
        height, width = pixels.shape[-2:]
        bottom = round_up(height, self.size_multiple) - height
        right = round_up(width, self.size_multiple) - width
        return F.pad(pixels, (0, right, 0, bottom)) if bottom or right else pixels
