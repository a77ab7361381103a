"""SegNet: a VGG16 whose pooling indices tell the decoder where each maximum came from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry import CoordinateMap, same_map
from fullconv.models.encoder import Encoder
from fullconv.models.network import EncoderNetwork, conv_norm_relu
from fullconv.models.vgg import BLOCKS


class PoolingVGG16(Encoder):
    """The 13 convolutions of VGG16 with batch normalisation, and the indices of its five poolings.

    Parameters are named as :class:`fullconv.models.vgg.VGG16`'s (``conv1_1.0.weight``: the convolution,
    ``conv1_1.1.weight``: its norm), so torchvision's ``vgg16`` and ``vgg16_bn`` are its starts.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.channels = {2**block: widths[-1] for block, widths in enumerate(BLOCKS, 1)}
        self.coordinates: dict[int, CoordinateMap] = {stride: same_map(stride) for stride in self.channels}
        self.size_multiple = 32
        channels = in_channels
        for block, widths in enumerate(BLOCKS, 1):
            for index, width in enumerate(widths, 1):
                self.add_module(f"conv{block}_{index}", conv_norm_relu(channels, width))
                channels = width

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        return self.with_indices(pixels)[0]

    def with_indices(self, pixels: Tensor) -> tuple[dict[int, Tensor], list[Tensor]]:
        """The features after each pooling, and the place of each maximum in the map before it."""
        features, indices = {}, []
        for block, widths in enumerate(BLOCKS, 1):
            for index in range(1, len(widths) + 1):
                pixels = self.get_submodule(f"conv{block}_{index}")(pixels)
            pixels, where = F.max_pool2d(pixels, 2, 2, return_indices=True)
            features[2**block] = pixels
            indices.append(where)
        return features, indices


class SegNet(EncoderNetwork):
    """The mirror of VGG16: every unpooling puts values where the encoder's maxima were, convolutions fill the rest.

    Args:
        encoder: a :class:`PoolingVGG16`.
        num_classes: channels of the logits, at the image's own resolution.

    Source: Badrinarayanan, Kendall, Cipolla, arXiv:1511.00561.
    """

    def __init__(self, encoder: PoolingVGG16, num_classes: int) -> None:
        super().__init__()
        self.encoder: PoolingVGG16 = encoder
        self.stride, self.coarsest_stride, self.coordinates = 1, 32, same_map(1)
        self.decoder = nn.ModuleDict()
        channels = BLOCKS[-1][-1]
        for block in range(len(BLOCKS), 0, -1):
            widths = [*BLOCKS[block - 1][:-1], BLOCKS[block - 2][-1] if block > 1 else BLOCKS[0][0]]
            layers: list[nn.Module] = []
            for width in widths:
                layers.append(conv_norm_relu(channels, width))
                channels = width
            self.decoder[str(block)] = nn.Sequential(*layers)
        self.score = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.declare_classes("score")

    def forward(self, pixels: Tensor) -> Tensor:
        features, indices = self.encoder.with_indices(self.encoder.pad(pixels))
        x = features[32]
        for block in range(len(BLOCKS), 0, -1):
            x = self.decoder[str(block)](F.max_unpool2d(x, indices[block - 1], [2, 2], [2, 2]))
        logits: Tensor = self.score(x)
        return logits
