"""Any timm network with features, as an encoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import timm
from timm.models import create_feature_extractor
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.hiera import Hiera
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.geometry import same_map
from fullconv.models.arguments import check_arguments
from fullconv.models.encoder import Encoder, Needs, TrainedWeights
from fullconv.models.hiera import hiera_maps
from fullconv.models.plain_vit import PlainViT, is_plain
from fullconv.models.timm_facts import TIMM, fill, reductions, timm_trained, with_features
from fullconv.models.weights import TransplantReport
from fullconv.names import check_network, no_encoder

ENCODER: dict[str, Any] = {**TIMM, "taps": Literal["blocks", "expansion"]}
"""What our encoders of timm take."""


class TimmEncoder(Encoder):
    """A timm network with a map for each of its strides, tapped at ``strides``; :meth:`make` gives a
    :class:`PlainViT` where it has one stride alone.

    Transformers and the like (Swin, MaxViT, Hiera, MambaOut) are padded as others are, MaxViT to whole windows at each
    of its strides; what lies in the padding attends and is attended to. Maps ``n h w c`` are turned.

    The taps are taken to lie on the image's grid (place ``i`` of stride ``s`` covers pixels ``[i s, (i + 1) s)``),
    as every segmentation library does; with padded strided convolutions the true centres differ from that by less
    than one place, which the layers above learn.

    Args:
        name: a timm model name, for example ``resnet34``.
        strides: the taps wanted.
        in_channels: channels of the image.
        encoder_args: those of timm's arguments that mean architecture (:data:`TIMM`); and
            ``taps``: ``"blocks"`` for their results, or ``"expansion"`` for networks of inverted residuals (MobileNet,
            EfficientNet): the wide features inside the first block that halves a stride, after their ReLU (96, 144,
            192, 576 channels in MobileNetV2), and the last block's projection before its norm (320), as TensorFlow's
            segmentation tutorial takes them.

    Raises:
        UsageError: no such model, an argument that it does not take, or a stride that it does not have.
    """

    def __init__(
        self,
        name: str,
        strides: Iterable[int],
        in_channels: int = 3,
        encoder_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not timm.is_model(check_network(name)):
            raise no_encoder(name)
        args = check_arguments(ENCODER, encoder_args or {}, f"encoder {name}: encoder_args")
        self.name, self.strides = name, sorted(strides)
        if args.pop("taps", "blocks") == "expansion":
            self.body, self.channels = _expansions(name, self.strides, in_channels, args)
        else:
            self.body, self.channels = _features(name, self.strides, in_channels, args)
        self.coordinates = {stride: same_map(stride) for stride in self.strides}
        windows = _windows(self.body)
        self.size_multiple = math.lcm(max(self.strides), windows)
        self.sees_everything = windows > 1 or isinstance(getattr(self.body, "model", None), Hiera)
        self._stages: list[int] = list(getattr(self.body, "out_indices", ()))
        self._turned = str(getattr(self.body, "output_fmt", "")).endswith("NHWC")

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return ENCODER

    @classmethod
    def make(cls, name: str, needs: Needs, in_channels: int, args: Mapping[str, Any]) -> Encoder:
        if _has_one_stride(name, args):
            return PlainViT.make(name, needs, in_channels, args)
        asked = {} if needs.output_stride is None else {"output_stride": needs.output_stride}
        return cls(name, needs.strides, in_channels, {**args, **asked})

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        network: Any = getattr(self.body, "model", None)
        found: Any = hiera_maps(network, pixels, self._stages) if isinstance(network, Hiera) else self.body(pixels)
        if isinstance(found, dict):
            return {stride: found[str(stride)] for stride in self.strides}
        if self._turned:
            found = [place.permute(0, 3, 1, 2) for place in found]
        return dict(zip(self.strides, found, strict=True))

    def load(self, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
        """Take over the weights of a timm classifier of the same architecture.

        Raises:
            ModelFileError: more than a tenth of the encoder's values have no counterpart in ``state``.
        """
        return fill(self, state, origin)

    def imagenet(self) -> TrainedWeights:
        return timm_trained(self.name)


def _features(name: str, wanted: list[int], in_channels: int, args: dict[str, Any]) -> tuple[nn.Module, dict[int, int]]:
    """The network that gives the deepest result of each stride, and their channels."""
    strides = reductions(name, args)
    _refuse_missing(name, wanted, strides)
    indices = [len(strides) - 1 - strides[::-1].index(stride) for stride in wanted]
    body: Any = with_features(name, args, out_indices=indices, in_chans=in_channels)
    return body, dict(zip(wanted, body.feature_info.channels(), strict=True))


def _expansions(
    name: str, wanted: list[int], in_channels: int, args: dict[str, Any]
) -> tuple[nn.Module, dict[int, int]]:
    """The network cut off at its expansions and its last projection, and their channels."""
    try:
        network: Any = timm.create_model(name, pretrained=False, in_chans=in_channels, **args)
    except Exception as error:  # on values that make no sense together timm raises almost anything
        raise UsageError(f"encoder {name} does not take these encoder_args: {args} ({error})") from error
    nodes: dict[int, str] = {}
    channels: dict[int, int] = {}
    stride = 2
    last: Any = None
    for path, block in network.named_modules():
        if not isinstance(block, InvertedResidual | DepthwiseSeparableConv):
            continue
        expands = isinstance(block, InvertedResidual)
        if block.conv_dw.stride[0] == 2:
            if expands:
                nodes[stride], channels[stride] = f"{path}.bn1", block.conv_pw.out_channels
            stride *= 2
        if expands:
            last = path, block
    if not nodes:
        raise UsageError(f"encoder {name} has no inverted residuals to tap; leave taps out, or use mobilenetv2_100")
    nodes[stride], channels[stride] = f"{last[0]}.conv_pwl", last[1].conv_pwl.out_channels
    _refuse_missing(name, wanted, list(nodes))
    body: nn.Module = create_feature_extractor(network, {nodes[s]: str(s) for s in wanted})
    return body, {s: channels[s] for s in wanted}


def _refuse_missing(name: str, wanted: list[int], there: list[int]) -> None:
    missing = [stride for stride in wanted if stride not in there]
    if missing:
        raise UsageError(
            f"encoder {name} has taps at strides {', '.join(map(str, there))}, not {missing[0]}; "
            "choose another encoder or other streams"
        )


def _has_one_stride(name: str, args: Mapping[str, Any]) -> bool:
    known = timm.is_model(check_network(name)) and "taps" not in args
    return known and is_plain(reductions(name, check_arguments(ENCODER, args, f"encoder {name}: encoder_args")))


def _windows(body: nn.Module) -> int:
    """Images are whole windows at each stride where a network (MaxViT) divides its maps into such.

    Its first windows are at stride 4, its last ones, of the same size, at 32.
    """
    sizes = {tuple(getattr(module, "partition_size", (1, 1))) for module in body.modules()}
    return math.lcm(*(side * 32 if side > 1 else 1 for size in sizes for side in size))
