"""What is known of timm's networks: the arguments that mean architecture, and how their weights are taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from fullconv.errors import ModelFileError, UsageError
from fullconv.models import download
from fullconv.models.arguments import Flag, Numbers, Word, named
from fullconv.models.encoder import TrainedWeights
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


def timm_trained(name: str) -> TrainedWeights:
    """timm's pretrained weights.

    Raises:
        UsageError: there are none, or they cannot be had.
    """
    state = download.timm_weights(name)
    settings = timm.get_pretrained_cfg(name)
    assert settings is not None  # they were found
    return TrainedWeights(state, tuple(settings.mean), tuple(settings.std), settings.license or "")


def fill(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> TransplantReport:
    """Take over a timm classifier's weights, whatever wrapper its features have.

    Raises:
        ModelFileError: more than a tenth of the network's values have no counterpart in ``state``.
    """
    normal = {_flat(name): name for name in state}
    rename = {normal[_flat(name)]: name for name in network.state_dict() if _flat(name) in normal}
    report = transplant(state, network, rename)
    sizes = {name: value.numel() for name, value in network.state_dict().items()}
    if sum(sizes[name] for name in report.left) > 0.1 * sum(sizes.values()):
        name, why = next(iter(report.left.items()))
        raise ModelFileError(
            f"{origin}: does not fit this encoder: {len(report.left)} of {len(sizes)} tensors have no "
            f"counterpart ({name}: {why}); give the weights of the same timm architecture"
        )
    return report


def _flat(name: str) -> str:
    """One spelling for the names of a classifier and of timm's feature wrappers (``stages.0`` and ``stages_0``)."""
    return name.removeprefix("body.").removeprefix("model.").replace(".", "_")


def reductions(name: str, args: dict[str, Any]) -> list[int]:
    """The strides of a network's features.

    Raises:
        UsageError: it has none, or does not take the arguments.
    """
    try:
        try:
            with torch.device("meta"):
                body: Any = with_features(name, args)
        except NotImplementedError:  # an operation that PyTorch has no shapes for: RegNet's in 2.11
            body = with_features(name, args)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise UsageError(f"encoder {name} gives no feature maps ({error}); choose another") from error
    except Exception as error:  # on values that make no sense together timm raises almost anything
        raise UsageError(f"encoder {name} does not take these encoder_args: {args} ({error})") from error
    return list(body.feature_info.reduction())


def with_features(name: str, args: Mapping[str, Any], **more: Any) -> Any:
    """timm's network with its features, for images of any size where it has the choice (Swin)."""
    try:
        return timm.create_model(
            name, pretrained=False, features_only=True, **{"strict_img_size": False, **args, **more}
        )  # fmt: skip
    except TypeError:
        return timm.create_model(name, pretrained=False, features_only=True, **args, **more)
