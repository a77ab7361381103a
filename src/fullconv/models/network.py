"""What every segmentation network is: an encoder, and coarse logits that know where the image lies in them."""

from __future__ import annotations

from torch import Tensor, nn

from fullconv.geometry import CoordinateMap, Window
from fullconv.models.encoder import Encoder


class SegmentationNetwork(nn.Module):
    """Image -> coarse logits.

    ``forward(pixels)`` takes normalised ``n c H W`` of any size from 1x1 and returns logits ``n num_classes h w``.

    Attributes:
        encoder: the part whose weights may come from a classifier; its parameters are named ``encoder.*``.
        stride: pixels between neighbouring logits.
        coarsest_stride: an image moved by so many pixels gives logits moved by whole places.
        coordinates: where the places of the logits look in the image.
    """

    encoder: Encoder
    stride: int
    coarsest_stride: int
    coordinates: CoordinateMap

    def window(self, coarse: tuple[int, int], image: tuple[int, int] | None = None) -> Window:
        """Where an image of ``(height, width)`` lies in its coarse logits of ``(h, w)``, enlarged.

        Our own networks enlarge by ``stride`` and need no ``image``; those of others may fit their logits to it.
        """
        # place i of the enlarged map is centred at stride i + (stride - 1) / 2
        start = float((self.stride - 1) / 2 - self.coordinates.offset)
        return Window(start, start, coarse[0] * self.stride, coarse[1] * self.stride)

    def features(self, pixels: Tensor) -> dict[int, Tensor]:
        """The encoder's taps of the padded image."""
        taps: dict[int, Tensor] = self.encoder(self.encoder.pad(pixels))
        return taps


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
