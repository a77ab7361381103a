"""What a network needs to know of its encoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import CoordinateMap, round_up


class Encoder(nn.Module):
    """A classification network without its head, tapped at several strides.

    Attributes:
        channels: ``{stride: channels}`` of the taps.
        coordinates: ``{stride: CoordinateMap}``, where the places of each tap look in the image.
        size_multiple: images are padded to a multiple of this on the right and at the bottom
            (1 when the encoder pads for itself).

    ``forward(pixels)`` takes normalised ``n c H W`` and returns ``{stride: features n c h w}``.
    """

    channels: dict[int, int]
    coordinates: dict[int, CoordinateMap]
    size_multiple: int

    def pad(self, pixels: Tensor) -> Tensor:
        """Append zeros (the mean colour, after normalisation) until both sides are multiples."""
        height, width = pixels.shape[-2:]
        bottom = round_up(height, self.size_multiple) - height
        right = round_up(width, self.size_multiple) - width
        return F.pad(pixels, (0, right, 0, bottom)) if bottom or right else pixels
