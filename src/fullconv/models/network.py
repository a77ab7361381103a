"""What every segmentation network is: coarse logits that know where the image lies in them, mostly over an encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from fullconv.geometry import CoordinateMap, Window
from fullconv.models.arguments import arguments_of
from fullconv.models.cpu_bf16 import careful_convolutions
from fullconv.models.encoder import Encoder, Needs
from fullconv.spec import ClassSet


class SegmentationNetwork(nn.Module):
    """Image -> coarse logits.

    ``forward(pixels)`` takes normalised ``n c H W`` of any size from 1x1 and returns logits ``n num_classes h w``.

    Attributes:
        encoder: the part whose weights may come from a classifier; its parameters are named ``encoder.*``.
        stride: pixels between neighbouring logits.
        coarsest_stride: an image moved by so many pixels gives logits moved by whole places.
        coordinates: where the places of the logits look in the image.
        asks_encoder_alone: all that it asks of its encoder is one call.
        chooses: its scores jump where rounding changes which of two equal values is the larger one.
        class_axes: the axes of each parameter that run over the classes, by its name; :meth:`declare_classes` fills it.
    """

    encoder: nn.Module
    stride: int
    coarsest_stride: int
    coordinates: CoordinateMap
    asks_encoder_alone = True
    chooses = False

    def __init__(self) -> None:
        super().__init__()
        self.class_axes: dict[str, tuple[int, ...]] = {}

    @property
    def backbone(self) -> nn.Module:
        """The part of the encoder that trained weights are of (:attr:`Encoder.backbone`)."""
        found = getattr(self.encoder, "backbone", self.encoder)
        assert isinstance(found, nn.Module)
        return found

    def declare_classes(self, *layers: str, reads: bool = False, writes: bool = True) -> None:
        """Say that the channels that convolutions write, or read, are the classes.

        So that another network's weights are carried over by the names of the classes
        (:func:`fullconv.models.by_class.transplant_by_class`).
        """
        for name in layers:
            layer = self.get_submodule(name)
            assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)), name
            written, read = (1, 0) if isinstance(layer, nn.ConvTranspose2d) else (0, 1)
            axes = [*[written] * writes, *[read] * reads] if layer.groups == 1 else [0]
            self.class_axes[f"{name}.weight"] = tuple(sorted(axes))
            if writes and layer.bias is not None:
                self.class_axes[f"{name}.bias"] = (0,)

    def by_class(self, name: str, value: Tensor) -> Tensor:
        """A parameter of ``class_axes`` with one entry for every class along these."""
        return value

    def from_class(self, name: str, value: Tensor) -> Tensor:
        """Back from :meth:`by_class`."""
        return value

    def __call__(self, pixels: Tensor) -> Tensor:
        # in prediction only maps of a place or two need the care, which costs milliseconds
        large = min(pixels.shape[-2:]) >= 4 * self.coarsest_stride
        with nullcontext() if large and not torch.is_grad_enabled() else careful_convolutions():
            logits: Tensor = super().__call__(pixels)
            return logits

    def try_out(self, pixels: Tensor) -> Tensor:
        """Logits, their values aside, of an image: whether its layers fit each other and take images of that size."""
        return self(pixels)

    def window(self, coarse: Sequence[int], image: Sequence[int] | None = None) -> Window:
        """Where an image of ``(height, width)`` lies in its coarse logits of ``(h, w)``, enlarged.

        Our own networks enlarge by ``stride`` and need no ``image``; those of others may fit their logits to it.
        """
        # place i of the enlarged map is centred at stride i + (stride - 1) / 2
        start = float((self.stride - 1) / 2 - self.coordinates.offset)
        return Window(start, start, coarse[0] * self.stride, coarse[1] * self.stride)


class EncoderNetwork(SegmentationNetwork):
    """A segmentation network of ours, over an encoder."""

    encoder: Encoder

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        """``{name: type}`` of ``model_args``: what its class takes beside an encoder and the number of classes."""
        return arguments_of(cls)

    @classmethod
    @abstractmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        """What it asks of its encoder, with these ``model_args``.

        Raises:
            UsageError: values that cannot be.
        """

    @classmethod
    def told_by(cls, classes: ClassSet) -> dict[str, Any]:
        """``model_args`` that follow from what the classes are."""
        return {}

    @classmethod
    def encoder_class(cls, name: str) -> type[Encoder] | None:
        """A class of encoders of its own; None: any.

        Raises:
            UsageError: it has none of this name.
        """
        return None

    def features(self, pixels: Tensor) -> dict[int, Tensor]:
        """The encoder's taps of the padded image."""
        taps: dict[int, Tensor] = self.encoder(self.encoder.pad(pixels))
        return taps


class ForeignNetwork(SegmentationNetwork):
    """A whole network of another library, called by its name there."""

    @classmethod
    @abstractmethod
    def arguments(cls) -> Mapping[str, Any]:
        """``{name: type}`` of ``model_args``."""

    @classmethod
    @abstractmethod
    def make(cls, name: str, num_classes: int, in_channels: int, args: Mapping[str, Any]) -> ForeignNetwork:
        """The network of that name, with random weights.

        Raises:
            UsageError: no such network, or arguments that it does not take.
        """

    @classmethod
    @abstractmethod
    def own_names(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of the library's network under this one's names, without what it leaves out."""


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, its weights of four dimensions channels last in memory."""
    network.to(device)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)


def on_the_grid(encoder: Encoder, name: str) -> None:
    """Networks that join taps by doubling need them aligned to the image and each other.

    Raises:
        ValueError: they are not (VGG16 with the paper's padding).
    """
    if any(tap.offset != (tap.scale - 1) / 2 for tap in encoder.coordinates.values()):
        raise ValueError(f"{name} joins features of equal grids; use the encoder with padding: same")


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation, ReLU."""
    padding = dilation * (kernel - 1) // 2
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
