"""Plain vision transformers of timm (ViT, DeiT, DINOv2, DINOv3, ...) as encoders: a pyramid from their last map."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import timm
import torch
from timm.layers import LayerNorm2d, resample_abs_pos_embed, resample_patch_embed
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.geometry import same_map
from fullconv.models.arguments import check_arguments
from fullconv.models.encoder import Encoder, Needs, TrainedWeights
from fullconv.models.timm_facts import TIMM, fill, reductions, timm_trained
from fullconv.models.weights import TransplantReport

EXAMPLES = "vit_small_patch16_224 or vit_small_patch14_reg4_dinov2"


class PlainViT(Encoder):
    """A transformer whose map keeps one stride, that of its patches; taps at other strides are made of its last map.

    Finer ones by transposed convolutions 2x2 (between two of them a norm over the channels and GELU), coarser ones by
    max pooling: the simple feature pyramid of ViTDet without its last projections, which the networks have themselves.
    The last map is taken after the final norm.

    Patches whose side is no power of two (14 in DINOv2) become the nearest one (16), as in EoMT, and position
    embeddings are resampled to the grid of the image. The image is padded with the mean colour; padded places are
    tokens like others, to which those of the image attend.

    Args:
        name: a timm model.
        strides: the taps wanted; none for whoever takes its blocks.
        in_channels: channels of the image.
        args: of timm's network, known to mean architecture.

    Attributes:
        body: timm's network without its head; the pyramid is not part of what may be trained elsewhere.
        patch: the side of a patch in pixels.

    Raises:
        UsageError: arguments that it does not take.

    Source: Li et al., arXiv:2203.16527, section 3.
    """

    def __init__(self, name: str, strides: Iterable[int], in_channels: int, args: Mapping[str, Any]) -> None:
        super().__init__()
        self.name, self.strides = name, sorted(strides)
        self.body, self.patch, width = _body(name, in_channels, dict(args))
        if any(stride & (stride - 1) for stride in self.strides):
            raise UsageError(f"encoder {name}: strides are powers of two, found {self.strides}")
        made = {stride: _resized(width, self.patch, stride) for stride in self.strides}
        self.pyramid = nn.ModuleDict({str(stride): layers for stride, (layers, _) in made.items()})
        self.channels = {stride: channels for stride, (_, channels) in made.items()}
        self.coordinates = {stride: same_map(stride) for stride in self.strides}
        self.size_multiple = max([self.patch, *self.strides])

    sees_everything = True

    @property
    def backbone(self) -> nn.Module:
        return self.body

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return TIMM

    @classmethod
    def make(cls, name: str, needs: Needs, in_channels: int, args: Mapping[str, Any]) -> PlainViT:
        args = check_arguments(TIMM, args, f"encoder {name}: encoder_args")
        if not timm.is_model(name) or not is_plain(reductions(name, args)):
            raise UsageError(
                f"encoder {name} is no plain vision transformer of timm; use one, for example {EXAMPLES}"
            )  # fmt: skip
        return cls(name, needs.strides, in_channels, args)

    @property
    def prefix(self) -> int:
        """How many tokens lie before those of the places: class and registers."""
        return int(self.body.num_prefix_tokens)

    def tokens(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """What enters the first block of a ViT or an EVA, ``n tokens c``, and its rotary positions if it has such."""
        found: Any = self.body._pos_embed(self.body.patch_embed(pixels))
        tokens, rope = found if isinstance(found, tuple) else (found, None)
        return self.body.norm_pre(tokens), rope

    def last_map(self, pixels: Tensor) -> Tensor:
        """The tokens of the image after the last block and its norm, ``n c h w``."""
        (found,) = self.body.forward_intermediates(pixels, indices=1, norm=True, intermediates_only=True)
        tokens: Tensor = found
        return tokens

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        last = self.last_map(pixels) if self.kept is None else self.kept.of(self.last_map, pixels)
        return {stride: self.pyramid[str(stride)](last) for stride in self.strides}

    def load(self, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
        """Take over the weights of a timm classifier of the same architecture; of patches of another size and of
        positions on another grid the resampled ones.

        Raises:
            ModelFileError: more than a tenth of the values have no counterpart in ``state``.
        """
        state, resampled = _resampled(state, self.body)
        report = fill(self.body, state, origin)
        for name, how in resampled.items():
            if name in report.copied:
                report.copied.remove(name)
            report.reshaped[name] = how
        if any(True for _ in self.pyramid.parameters()):
            report.left["pyramid"] = "made from its last map; it starts from random weights"
        return report

    def imagenet(self) -> TrainedWeights:
        return timm_trained(self.name)


def is_plain(strides: Iterable[int]) -> bool:
    """Whether a network's features all have one stride."""
    return len(set(strides)) == 1


def _body(name: str, in_channels: int, args: dict[str, Any]) -> tuple[Any, int, int]:
    """timm's network for any image size, the side of its patches, and its channels."""
    with torch.device("meta"):
        shown = _create(name, in_channels, args)
    patch = int(shown.feature_info[-1]["reduction"])
    if patch & (patch - 1):
        whole, grid = 1 << round(math.log2(patch)), getattr(getattr(shown, "patch_embed", None), "grid_size", None)
        if "patch_size" in args or grid is None:
            raise UsageError(f"encoder {name}: patch_size {patch} is no power of two; use {whole}")
        sides = [side * whole for side in grid]  # the same grid, so the same position embeddings
        args = {"img_size": sides[0] if sides[0] == sides[1] else sides, **args, "patch_size": whole}
        patch = whole
    body, info = _create(name, in_channels, args), shown.feature_info[-1]
    return body, patch, int(info.get("num_chs_norm", info["num_chs"]))


def _create(name: str, in_channels: int, args: dict[str, Any]) -> Any:
    """With whatever of size and head it can leave open.

    Raises:
        UsageError: values that make no sense together.
    """
    for free in ({"dynamic_img_size": True, "global_pool": ""}, {"global_pool": ""}, {}):
        try:
            return timm.create_model(name, pretrained=False, num_classes=0, in_chans=in_channels, **{**free, **args})
        except Exception as error:  # on values that make no sense together timm raises almost anything
            last = error
    raise UsageError(f"encoder {name} does not take these encoder_args: {args} ({last})") from last


def _resized(width: int, patch: int, stride: int) -> tuple[nn.Sequential, int]:
    """From the map of the patches to that of a stride, and its channels."""
    layers: list[nn.Module] = []
    while stride > patch:
        layers.append(nn.MaxPool2d(2))
        stride //= 2
    while stride < patch:
        if layers:
            layers += [LayerNorm2d(width), nn.GELU()]
        layers.append(nn.ConvTranspose2d(width, width // 2, 2, 2))
        width, stride = width // 2, stride * 2
    return nn.Sequential(*layers), width


def _resampled(state: Mapping[str, Tensor], body: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A state dict with patches and positions as ``body`` has them, and what was resampled.

    Source: Beyer et al., arXiv:2212.08013, section 3.4 (patches).
    """
    state, said = dict(state), {}
    places = body.state_dict()
    name = "patch_embed.proj.weight"
    if name in state and name in places and state[name].shape[2:] != places[name].shape[2:]:
        before, after = list(state[name].shape[2:]), list(places[name].shape[2:])
        state[name] = resample_patch_embed(state[name].float(), after)
        said[name] = f"patches of {before[0]}x{before[1]} resampled to {after[0]}x{after[1]}"
    name = "pos_embed"
    if name in state and name in places and state[name].shape[1] != places[name].shape[1]:
        count = state[name].shape[1]
        apart = 0 if getattr(body, "no_embed_class", False) else body.num_prefix_tokens
        state[name] = resample_abs_pos_embed(
            state[name].float(), list(body.patch_embed.grid_size), num_prefix_tokens=apart
        )  # fmt: skip
        said[name] = f"{count} positions resampled to {places[name].shape[1]}"
    return state, said
