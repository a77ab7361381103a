"""VGG16 as the FCN paper taps it: pool3, pool4, and fc7 as a convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.geometry import CoordinateMap, Layer
from fullconv.models import download
from fullconv.models.arguments import arguments_of, check_arguments
from fullconv.models.encoder import Encoder, Needs, TrainedWeights
from fullconv.models.weights import TransplantReport, transplant

NAME = "vgg16"
LICENCE = "BSD-3-Clause (torchvision)"
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(Encoder):
    """Simonyan & Zisserman's VGG16 (configuration D), convolutionalised.

    Taps: 2 (pool1), 4 (pool2), 8 (pool3), 16 (pool4), 32 (fc7; pool5 when ``fc_channels`` is 0). With an
    ``output_stride`` of 8 or 16 the last tap lies there: the poolings beyond are left out and the convolutions after
    them dilated instead, with the same weights.

    Args:
        in_channels: channels of the image.
        padding: ``"same"`` keeps every tap on the image's grid; ``"paper"`` is the original FCN: 100 pixels
            of zeros around the image, fc6 unpadded, and crops computed from the coordinate maps.
        fc_channels: width of fc6 and fc7 (4096 in the paper).
        dropout: probability after fc6 and fc7 (0.5 in the paper).
        output_stride: 32, or 16 or 8 with ``padding="same"``.

    Parameters are named after the paper: ``conv1_1`` to ``conv5_3``, ``fc6``, ``fc7``.
    Source: arXiv:1409.1556 (VGG16); arXiv:1411.4038, section 4 (taps, pad 100); arXiv:1511.07122, section 4
    (poolings left out).
    """

    def __init__(
        self,
        in_channels: int = 3,
        padding: Literal["same", "paper"] = "same",
        fc_channels: int = 4096,
        dropout: float = 0.5,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        if padding not in ("same", "paper"):
            raise ValueError(f"padding must be same or paper, found {padding!r}")
        if output_stride not in (8, 16, 32) or (padding == "paper" and output_stride != 32):
            raise ValueError(f"output_stride must be 32, or 16 or 8 with padding: same; found {output_stride!r}")
        self.channels, self.coordinates = {}, {}
        self.size_multiple = output_stride if padding == "same" else 1
        self._taps: list[tuple[int, list[nn.Module]]] = []
        layers: list[Layer] = []
        modules: list[nn.Module] = []
        channels, dilation = in_channels, 1

        def convolve(name: str, out: int, kernel: int, pad: int) -> None:
            nonlocal channels
            module = nn.Conv2d(channels, out, kernel, padding=pad * dilation, dilation=dilation)
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.get_parameter("bias"))
            self.add_module(name, module)
            modules.extend((module, nn.ReLU(inplace=True)))
            layers.append(Layer(kernel, 1, pad * dilation, dilation))
            channels = out

        def tap(stride: int) -> None:
            self.channels[stride] = channels
            self.coordinates[stride] = CoordinateMap().through(layers)
            self._taps.append((stride, list(modules)))
            modules.clear()

        for block, widths in enumerate(BLOCKS, start=1):
            for index, width in enumerate(widths, start=1):
                first = padding == "paper" and (block, index) == (1, 1)
                convolve(f"conv{block}_{index}", width, 3, 100 if first else 1)
            if 2**block > output_stride:
                dilation *= 2
            else:
                modules.append(nn.MaxPool2d(2, 2, ceil_mode=True))
                layers.append(Layer(2, 2, ceil_mode=True))
            if 2**block < output_stride or (block == len(BLOCKS) and not fc_channels):
                tap(min(2**block, output_stride))
        if fc_channels:
            convolve("fc6", fc_channels, 7, 3 if padding == "same" else 0)
            modules.append(nn.Dropout(dropout))
            convolve("fc7", fc_channels, 1, 0)
            modules.append(nn.Dropout(dropout))
            tap(output_stride)
        self.layers = tuple(layers)

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return arguments_of(cls)

    @classmethod
    def make(cls, name: str, needs: Needs, in_channels: int, args: Mapping[str, Any]) -> VGG16:
        chosen = dict(args) if needs.head else {"fc_channels": 0, **args}
        if needs.output_stride is not None:
            chosen["output_stride"] = needs.output_stride
        check_arguments(cls.arguments(), chosen, f"encoder {NAME}: encoder_args")
        try:
            return cls(in_channels, **chosen)
        except (TypeError, ValueError) as error:
            raise UsageError(f"encoder {NAME} does not take these encoder_args: {chosen} ({error})") from error

    def load(self, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
        """From torchvision's names or our own; all 13 convolutions, or none of it."""
        if "features.1.running_mean" in state:
            raise UsageError(f"{origin}: a VGG16 with norms, which this one does not have; give torchvision's vgg16")
        rename = {} if has_own_names(self, state) else names_of_vgg16(list(state))
        return load_convolutions(self, state, rename, origin, "torchvision's vgg16")

    def imagenet(self) -> TrainedWeights:
        return TrainedWeights(download.torchvision_weights("vgg16"), licence=LICENCE)

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        features = {}
        for stride, modules in self._taps:
            for module in modules:
                if isinstance(module, nn.Dropout):
                    pixels = torch.nn.functional.dropout(pixels, module.p, self.training)
                else:
                    pixels = module(pixels)
            features[stride] = pixels
        return features


def has_own_names(encoder: Encoder, state: Mapping[str, Tensor]) -> bool:
    """Whether weights come under the encoder's own names."""
    return bool(set(encoder.state_dict()) & set(state))


def load_convolutions(
    encoder: Encoder, state: Mapping[str, Tensor], rename: Mapping[str, str], origin: str, expected: str
) -> TransplantReport:
    """Transplant, refused where any of the 13 convolutions is missing.

    Raises:
        UsageError: one is; ``expected`` says what to give.
    """
    report = transplant(state, encoder, rename)
    taken = [name for name in (*report.copied, *report.reshaped) if name.startswith("conv") and name.endswith("weight")]
    convolutions = [name for name in taken if encoder.get_parameter(name).ndim == 4]
    if len(convolutions) != 13:
        raise UsageError(
            f"{origin}: {len(convolutions)} of VGG16's 13 convolutions are in it; expected {expected} or our own names"
        )
    return report


def names_of_vgg16(state_names: Sequence[str]) -> dict[str, str]:
    """Our parameter names for those of torchvision's ``vgg16`` (``features.0.weight`` -> ``conv1_1.weight``)."""
    return _renamed(state_names, {**_convolutions(step=2), "classifier.0": "fc6", "classifier.3": "fc7"})


def names_in_blocks(state_names: Sequence[str]) -> dict[str, str]:
    """The same for layers that are a convolution (``conv1_1.0``) and its norm (``conv1_1.1``).

    From the names of ``vgg16`` or of ``vgg16_bn``.
    """
    norms = any(name.endswith("running_mean") for name in state_names)
    pairs = {}
    for theirs, ours in _convolutions(step=3 if norms else 2).items():
        pairs[theirs] = f"{ours}.0"
        if norms:
            pairs[f"features.{int(theirs.removeprefix('features.')) + 1}"] = f"{ours}.1"
    return _renamed(state_names, pairs)


def _convolutions(step: int) -> dict[str, str]:
    """torchvision's module -> ours; a convolution and what belongs to it are ``step`` modules."""
    pairs, index = {}, 0
    for block, widths in enumerate(BLOCKS, 1):
        for number in range(1, len(widths) + 1):
            pairs[f"features.{index}"] = f"conv{block}_{number}"
            index += step
        index += 1  # pooling
    return pairs


def _renamed(state_names: Sequence[str], modules: dict[str, str]) -> dict[str, str]:
    parts = [(name, *name.rpartition(".")) for name in state_names]
    return {name: f"{modules[module]}.{parameter}" for name, module, _, parameter in parts if module in modules}
