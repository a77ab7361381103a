"""Any timm network with features, as an encoder."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import timm
import torch
from timm.models import create_feature_extractor
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import Tensor, nn

from fullconv.errors import ModelFileError, UsageError
from fullconv.geometry import same_map
from fullconv.models import download
from fullconv.models.arguments import Flag, Numbers, Word, check_arguments, check_network, named
from fullconv.models.encoder import Encoder, Needs, TrainedWeights
from fullconv.models.weights import TransplantReport, transplant

TIMM: dict[str, Any] = {
    **named(Numbers, """
        attn_drop_rate base_dim base_dims base_width bn_eps bn_momentum block_reduce_first bottle_ratio bottleneck_ratio
        cardinality ch_div channel_multiplier channels crop_size deepen_factor depth depth_mult depth_multiplier depths
        dim dims downsample_kernel_size drop_block_rate drop_block_size drop_path_rate drop_rate embed_dim embed_dims
        expand_ratio expansion_ratio first_stride focal_levels focal_windows growth_rate head_dim img_size init_values
        kernel_size kernel_sizes layer_scale_init_value layers levels ls_init_value mlp_ratio mlp_ratios norm_eps
        num_blocks num_heads num_init_features num_reg_tokens output_stride patch_drop_rate patch_size pos_drop_rate
        proj_drop_rate qk_dim reg_tokens sr_ratios stages stem_chs stem_kernel_size stem_size stem_stride stem_width
        widen_factor width width_factor width_mult widths window_ratio window_size window_sizes
    """),
    **named(Flag, """
        always_partition aa_stem_only attn_mlp avg_down bn_tf class_token conv_bias conv_mlp downsample_block
        dynamic_img_pad dynamic_img_size final_norm fix_init fix_stem fused_conv input_3x3 memory_efficient
        no_embed_class pre_norm qk_norm qkv_bias replace_stem_pool scale_mlp se_from_exp small_kernels stem_bias
        stem_norm strict_img_size use_grn use_layer_scale use_pos_embed zero_init_last
    """),
    **named(Word, """
        aa_layer act_layer attn_layer attn_type downsample global_pool norm_layer pad_type pool_type pos_embed se_layer
        stem_type
    """),
}  # fmt: skip
"""Arguments of timm's networks. ``pretrained``, ``checkpoint_path`` and their like are not among them; nor are those
that fullconv sets (``num_classes``, ``in_chans``, ``features_only``, ``out_indices``)."""

ENCODER: dict[str, Any] = {**TIMM, "taps": Literal["blocks", "expansion"]}
"""What our encoders of timm take."""


class TimmEncoder(Encoder):
    """A timm network tapped at ``strides``.

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
            near = difflib.get_close_matches(name, ["vgg16", *timm.list_models()], 3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them"
            raise UsageError(f"no encoder is called {name!r}; {hint}")
        args = check_arguments(ENCODER, encoder_args or {}, f"encoder {name}: encoder_args")
        self.name, self.strides = name, sorted(strides)
        if args.pop("taps", "blocks") == "expansion":
            self.body, self.channels = _expansions(name, self.strides, in_channels, args)
        else:
            self.body, self.channels = _features(name, self.strides, in_channels, args)
        self.coordinates = {stride: same_map(stride) for stride in self.strides}
        self.size_multiple = max(self.strides)

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return ENCODER

    @classmethod
    def make(cls, name: str, needs: Needs, in_channels: int, args: Mapping[str, Any]) -> TimmEncoder:
        asked = {} if needs.output_stride is None else {"output_stride": needs.output_stride}
        return cls(name, needs.strides, in_channels, {**args, **asked})

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        found: Any = self.body(pixels)
        if isinstance(found, dict):
            return {stride: found[str(stride)] for stride in self.strides}
        return dict(zip(self.strides, found, strict=True))

    def load(self, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
        """Take over the weights of a timm classifier of the same architecture.

        Raises:
            ModelFileError: more than a tenth of the encoder's values have no counterpart in ``state``.
        """
        normal = {_flat(name): name for name in state}
        rename = {normal[_flat(name)]: name for name in self.state_dict() if _flat(name) in normal}
        report = transplant(state, self, rename)
        sizes = {name: value.numel() for name, value in self.state_dict().items()}
        if sum(sizes[name] for name in report.left) > 0.1 * sum(sizes.values()):
            name, why = next(iter(report.left.items()))
            raise ModelFileError(
                f"{origin}: does not fit this encoder: {len(report.left)} of {len(sizes)} tensors have no "
                f"counterpart ({name}: {why}); give the weights of the same timm architecture"
            )
        return report

    def imagenet(self) -> TrainedWeights:
        state = download.timm_weights(self.name)
        settings = timm.get_pretrained_cfg(self.name)
        assert settings is not None  # they were found
        return TrainedWeights(state, tuple(settings.mean), tuple(settings.std), settings.license or "")


def _flat(name: str) -> str:
    """One spelling for the names of a classifier and of timm's feature wrappers (``stages.0`` and ``stages_0``)."""
    return name.removeprefix("body.").removeprefix("model.").replace(".", "_")


def _features(name: str, wanted: list[int], in_channels: int, args: dict[str, Any]) -> tuple[nn.Module, dict[int, int]]:
    """The network that gives the deepest result of each stride, and their channels."""
    reductions = _reductions(name, args)
    _refuse_missing(name, wanted, reductions)
    indices = [len(reductions) - 1 - reductions[::-1].index(stride) for stride in wanted]
    body: Any = timm.create_model(
        name, pretrained=False, features_only=True, out_indices=indices, in_chans=in_channels, **args
    )
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


def _reductions(name: str, args: dict[str, Any]) -> list[int]:
    try:
        try:
            with torch.device("meta"):
                body: Any = timm.create_model(name, pretrained=False, features_only=True, **args)
        except NotImplementedError:  # an operation that PyTorch has no shapes for: RegNet's in 2.11
            body = timm.create_model(name, pretrained=False, features_only=True, **args)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise UsageError(f"encoder {name} gives no feature maps ({error}); choose a convolutional one") from error
    except Exception as error:  # on values that make no sense together timm raises almost anything
        raise UsageError(f"encoder {name} does not take these encoder_args: {args} ({error})") from error
    return list(body.feature_info.reduction())
