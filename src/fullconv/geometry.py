"""Where a pixel goes: strides, receptive fields, crops, paddings. Integers and fractions, no tensors.

The magic crops of the FCN papers (19, 5, 9, 27, 31) are arithmetic here: compose the layers of both branches
into a :class:`CoordinateMap` each and ask for the offset between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple


@dataclass(frozen=True)
class Layer:
    """The spatial side of a convolution, pooling or transposed convolution, equal in both directions."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    transposed: bool = False
    ceil_mode: bool = False

    def output_size(self, size: int) -> int:
        """Length of the output for an input of ``size``, as PyTorch computes it."""
        reach = self.dilation * (self.kernel - 1)
        if self.transposed:
            return (size - 1) * self.stride - 2 * self.padding + reach + 1
        free = size + 2 * self.padding - reach - 1
        steps = -(-free // self.stride) if self.ceil_mode else free // self.stride
        if self.ceil_mode and steps * self.stride >= size + self.padding:  # the last window must start inside
            steps -= 1
        return steps + 1


@dataclass(frozen=True)
class CoordinateMap:
    """Place ``i`` of a feature map looks at input pixel ``scale * i + offset`` (its centre, in pixel indices)."""

    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def then(self, layer: Layer) -> CoordinateMap:
        """The map after one more ``layer``."""
        centre = Fraction(layer.dilation * (layer.kernel - 1), 2) - layer.padding
        if layer.transposed:
            scale = self.scale / layer.stride
            return CoordinateMap(scale, self.offset - scale * centre)
        return CoordinateMap(self.scale * layer.stride, self.offset + self.scale * centre)

    def through(self, layers: Iterable[Layer]) -> CoordinateMap:
        """The map after all ``layers``."""
        result = self
        for layer in layers:
            result = result.then(layer)
        return result

    def crop_to(self, other: CoordinateMap) -> int:
        """How many leading places of this map to drop so that its first one meets place 0 of ``other``.

        Raises:
            ValueError: the maps have different scales, or lie a fraction of a place apart.
        """
        places = (other.offset - self.offset) / self.scale
        if self.scale != other.scale or places.denominator != 1:
            raise ValueError(
                f"maps of scale {self.scale} and {other.scale} lie {places} places apart; "
                "a crop needs equal scales and a whole number"
            )
        return int(places)


def same_map(stride: int) -> CoordinateMap:
    """The map of a feature map whose places tile the image: place ``i`` covers pixels ``[i s, (i + 1) s)``."""
    return CoordinateMap(Fraction(stride), Fraction(stride - 1, 2))


def receptive_field(layers: Iterable[Layer]) -> int:
    """How many input pixels in a row influence one output place (transposed layers not allowed)."""
    field, jump = 1, 1
    for layer in layers:
        if layer.transposed:
            raise ValueError("the receptive field is defined for convolutions and pooling, found a transposed layer")
        field += layer.dilation * (layer.kernel - 1) * jump
        jump *= layer.stride
    return field


class Window(NamedTuple):
    """Which part of the enlarged coarse map the image is.

    The coarse map is enlarged (half-pixel-centred bilinear interpolation) to ``height x width``; the image's
    pixel ``(0, 0)`` is pixel ``(top, left)`` of it. Whole numbers, except where an image was resized before
    the network and the labels are wanted at its own size.
    """

    top: float
    left: float
    height: float
    width: float

    def scaled(self, vertical: float, horizontal: float) -> Window:
        """The same window for an image enlarged by the two factors."""
        return Window(self.top * vertical, self.left * horizontal, self.height * vertical, self.width * horizontal)


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``size``."""
    return -(-size // multiple) * multiple
