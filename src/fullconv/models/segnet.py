"""SegNet: a VGG16 whose pooling indices tell the decoder where each maximum came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.geometry import CoordinateMap, same_map
from fullconv.models import download
from fullconv.models.arguments import arguments_of, check_arguments
from fullconv.models.encoder import Encoder, Needs, TrainedWeights
from fullconv.models.network import EncoderNetwork, conv_norm_relu
from fullconv.models.vgg import BLOCKS, LICENCE, NAME, has_own_names, load_convolutions, names_in_blocks
from fullconv.models.weights import TransplantReport


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

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return arguments_of(cls)

    @classmethod
    def make(cls, name: str, needs: Needs, in_channels: int, args: Mapping[str, Any]) -> PoolingVGG16:
        check_arguments(cls.arguments(), args, f"encoder {NAME} of segnet: encoder_args")
        return cls(in_channels)

    def load(self, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
        """From the names of torchvision's ``vgg16`` or ``vgg16_bn``, or our own; all 13 convolutions, or none of it."""
        own = has_own_names(self, state)
        rename = {} if own else names_in_blocks(list(state))
        if not own and any(name.endswith("running_mean") for name in state):
            state = without_biases(state, rename)  # these convolutions have none: the norm that follows takes them in
        return load_convolutions(self, state, rename, origin, "torchvision's vgg16 or vgg16_bn")

    def imagenet(self) -> TrainedWeights:
        return TrainedWeights(download.torchvision_weights("vgg16_bn"), licence=LICENCE)

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


def without_biases(state: Mapping[str, Tensor], rename: Mapping[str, str]) -> dict[str, Tensor]:
    """The same network with the biases of convolutions moved into the means of the norms after them."""
    theirs = {ours: name for name, ours in rename.items()}
    moved = dict(state)
    for ours, name in theirs.items():
        if ours.endswith(".0.bias"):
            mean = theirs[ours.removesuffix(".0.bias") + ".1.running_mean"]
            moved[mean] = moved[mean] - moved.pop(name)
    return moved


class SegNet(EncoderNetwork):
    """The mirror of VGG16: every unpooling puts values where the encoder's maxima were, convolutions fill the rest.

    Args:
        encoder: a :class:`PoolingVGG16`.
        num_classes: channels of the logits, at the image's own resolution.

    Source: Badrinarayanan, Kendall, Cipolla, arXiv:1511.00561.
    """

    encoder: PoolingVGG16
    chooses = True  # the places of maxima

    def __init__(self, encoder: PoolingVGG16, num_classes: int) -> None:
        super().__init__(encoder, num_classes)
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

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs((32,))

    @classmethod
    def encoder_class(cls, name: str) -> type[Encoder]:
        if name != NAME:
            raise UsageError(f"segnet has VGG16's pooling indices; use --encoder {NAME}, found {name}")
        return PoolingVGG16

    def forward(self, pixels: Tensor) -> Tensor:
        features, indices = self.encoder.with_indices(self.encoder.pad(pixels))
        x = features[32]
        for block in range(len(BLOCKS), 0, -1):
            x = self.decoder[str(block)](F.max_unpool2d(x, indices[block - 1], [2, 2], [2, 2]))
        logits: Tensor = self.score(x)
        return logits
