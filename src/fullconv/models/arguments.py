"""What may be said of a network: names and types of arguments that mean architecture, and nothing else.

Model headers, the metadata of weights files, recipes and other libraries' configs come from elsewhere. Whatever they
say passes here before it reaches timm or segmentation_models.pytorch, some of whose arguments read files, open
addresses or unpickle.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fullconv.errors import FullconvError, ModelFileError, UsageError, first_few
from fullconv.models.deeplab import DeepLab, Dilated
from fullconv.models.fcn import FCN
from fullconv.models.fpn import FPN
from fullconv.models.hypercolumn import Hypercolumn
from fullconv.models.segnet import SegNet
from fullconv.models.unet import UNet
from fullconv.models.vgg import VGG16
from fullconv.models.wide_fcn import WideFCN

LARGEST = 1 << 16
"""No width, size or factor is larger."""
SMALL = 512
"""Widths up to here make no network that is large for any computer."""
MOST_LAYERS = 1 << 9
"""No part of a network has more layers."""
LONGEST = 64
"""Entries of a list."""
_WORD = re.compile(r"[A-Za-z0-9_+-]{0,48}")
_NETWORK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")  # no colon, no slash: hf-hub:owner/name, local-dir:/place

Numbers = float | list[float] | list[list[float]] | None
Flag = bool | None
Word = str | None


def _named(kind: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), kind)


_LAYERS = ("depth", "depths", "layers", "levels", "stages", "num_blocks", "depth_mult", "depth_multiplier")

TIMM: dict[str, Any] = {
    **_named(Numbers, """
        attn_drop_rate base_dim base_dims base_width bn_eps bn_momentum block_reduce_first bottle_ratio bottleneck_ratio
        cardinality ch_div channel_multiplier channels crop_size deepen_factor depth depth_mult depth_multiplier depths
        dim dims downsample_kernel_size drop_block_rate drop_block_size drop_path_rate drop_rate embed_dim embed_dims
        expand_ratio expansion_ratio first_stride focal_levels focal_windows growth_rate head_dim img_size init_values
        kernel_size kernel_sizes layer_scale_init_value layers levels ls_init_value mlp_ratio mlp_ratios norm_eps
        num_blocks num_heads num_init_features num_reg_tokens output_stride patch_drop_rate patch_size pos_drop_rate
        proj_drop_rate qk_dim reg_tokens sr_ratios stages stem_chs stem_kernel_size stem_size stem_stride stem_width
        widen_factor width width_factor width_mult widths window_ratio window_size window_sizes
    """),
    **_named(Flag, """
        always_partition aa_stem_only attn_mlp avg_down bn_tf class_token conv_bias conv_mlp downsample_block
        dynamic_img_pad dynamic_img_size final_norm fix_init fix_stem fused_conv input_3x3 memory_efficient
        no_embed_class pre_norm qk_norm qkv_bias replace_stem_pool scale_mlp se_from_exp small_kernels stem_bias
        stem_norm strict_img_size use_grn use_layer_scale use_pos_embed zero_init_last
    """),
    **_named(Word, """
        aa_layer act_layer attn_layer attn_type downsample global_pool norm_layer pad_type pool_type pos_embed se_layer
        stem_type
    """),
}  # fmt: skip
"""Arguments of timm's networks. ``pretrained``, ``checkpoint_path`` and their like are not among them; nor are those
that fullconv sets (``num_classes``, ``in_chans``, ``features_only``, ``out_indices``)."""

ENCODER: dict[str, Any] = {**TIMM, "taps": Literal["blocks", "expansion"]}
"""What our encoders of timm take."""

SMP: dict[str, Any] = {
    **_named(Numbers, """
        decoder_aspp_dropout decoder_atrous_rates decoder_dropout decoder_fusion_channels
        decoder_intermediate_channels decoder_pab_channels decoder_pyramid_channels decoder_segmentation_channels
        drop_path_rate drop_rate encoder_depth encoder_output_indices encoder_output_stride img_size psp_dropout
        psp_out_channels upsampling
    """),
    **_named(Flag, "decoder_aspp_separable dynamic_img_size"),
    **_named(Word, "decoder_attention_type decoder_interpolation decoder_merge_policy decoder_readout"),
    "decoder_channels": Numbers,
    "decoder_use_norm": bool | str | dict[str, bool | float | str] | None,
    "decoder_use_batchnorm": bool | str | None,
    "encoder_name": str,
    "classes": int,
    "in_channels": int,
}  # fmt: skip
"""Arguments of segmentation_models.pytorch's networks, as its ``config.json`` holds them."""


CLASSES: dict[str, type] = {
    **dict.fromkeys(("fcn32s", "fcn16s", "fcn8s", "fcn4s"), FCN),
    "unet": UNet,
    "fpn": FPN,
    "segnet": SegNet,
    "deeplab": DeepLab,
    "dilated": Dilated,
    "hypercolumn": Hypercolumn,
}
"""Our own networks."""


def taken_by_model(name: str) -> dict[str, Any]:
    """``{name: type}`` of ``model_args``."""
    if name == "smp":
        return SMP
    decoders = {**_arguments_of(WideFCN), "decoder": Literal["scores", "wide"]} if name.startswith("fcn") else {}
    return {**decoders, **_arguments_of(CLASSES[name])} if name in CLASSES else {}


def taken_by_encoder(name: str, model: str = "") -> dict[str, Any]:
    """``{name: type}`` of ``encoder_args``."""
    if model in ("segnet", "smp", "torchvision"):
        return {}
    return _arguments_of(VGG16) if name == "vgg16" else ENCODER


def check_network(name: Any, where: str = "", error: type[FullconvError] = UsageError) -> str:
    """The name of a network of a library: letters, digits, ``_ - + .``; never an address or a folder.

    Raises:
        FullconvError: of the kind ``error``, with the file ``where`` it was found.
    """
    if not isinstance(name, str) or not _NETWORK.fullmatch(name):
        found = f"{where}: " if where else ""
        raise error(f"{found}{str(name)[:60]!r} is not a network's name; expected letters, digits and _ - + . only")
    return name


def check_arguments(
    takes: Mapping[str, Any], args: Any, what: str, error: type[FullconvError] = UsageError
) -> dict[str, Any]:
    """``args``, all of them known by name and of the right type.

    Args:
        takes: ``{name: type}``.
        what: whose arguments they are, for the message: ``encoder resnet34: encoder_args``.

    Raises:
        FullconvError: of the kind ``error``: another name, type or size.
    """
    if not isinstance(args, Mapping):
        raise error(f"{what} must be named values, found {str(args)[:60]!r}")
    for name, value in args.items():
        if not isinstance(name, str) or name not in takes:
            near = difflib.get_close_matches(str(name), takes, 3, cutoff=0.6)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are {first_few(sorted(takes), 6)}"
            raise error(
                f"{what}: {str(name)[:60]!r} is not among the arguments that fullconv passes on, which name the "
                f"architecture only; {hint if takes else 'it takes none'}"
            )
        word = _NETWORK if name == "encoder_name" else _WORD
        if not _plain(value, word, MOST_LAYERS if name in _LAYERS else LARGEST) or not _is(takes[name], value):
            raise error(f"{what}: {name} cannot be {str(value)[:60]!r}; expected {_words(takes[name])}")
    return dict(args)


def described(model: Any, where: str) -> dict[str, Any]:
    """The arguments of :func:`fullconv.models.build_model` in a model file's header, and no others: no weights.

    Raises:
        ModelFileError: another name or type.
    """
    takes = {
        "name": str,
        "num_classes": int,
        "encoder": str,
        "in_channels": int,
        "encoder_args": dict,
        "model_args": dict,
    }
    if not isinstance(model, dict) or set(model) != set(takes):
        found = first_few(sorted(map(str, model)), 8) if isinstance(model, dict) else str(model)[:60]
        raise ModelFileError(f"{where}: its header describes a model by {found[:200]}; expected {', '.join(takes)}")
    for name, value in model.items():
        if not _is(takes[name], value) or (takes[name] is int and not 0 < value <= LARGEST):
            raise ModelFileError(
                f"{where}: its header says {name} is {str(value)[:60]!r}; expected {_words(takes[name])}"
            )
    encoder, name = check_network(model["encoder"], where, ModelFileError), model["name"]
    check_arguments(taken_by_encoder(encoder, name), model["encoder_args"], f"{where}: encoder_args", ModelFileError)
    check_arguments(taken_by_model(name), model["model_args"], f"{where}: model_args", ModelFileError)
    return dict(model)


def names_widths(model: Mapping[str, Any]) -> bool:
    """Whether described arguments could make a network large: numbers above :data:`SMALL`, or numbers of layers."""

    def large(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            return any(map(large, value))
        return isinstance(value, (int, float)) and value > SMALL

    args = {**model["encoder_args"], **model["model_args"]}
    return large(model["num_classes"]) or any(large(value) or name in _LAYERS for name, value in args.items())


def _arguments_of(maker: Any) -> dict[str, Any]:
    """What one of our own classes takes beside its encoder and channels."""
    hints = get_type_hints(maker.__init__)
    return {
        name: kind for name, kind in hints.items() if name not in ("encoder", "num_classes", "in_channels", "return")
    }


def _plain(value: Any, word: re.Pattern[str], largest: int, depth: int = 0) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return abs(value) <= largest  # neither nan nor infinite
    if isinstance(value, str):
        return word.fullmatch(value) is not None
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    return (
        isinstance(value, (list, tuple))
        and depth < 2
        and len(value) <= LONGEST
        and all(_plain(entry, word, largest, depth + 1) for entry in value)
    )


def _is(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(_lists(value))
    except ValidationError:
        return False
    return True


def _lists(value: Any) -> Any:
    """Tuples as JSON and YAML have them."""
    return [_lists(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        *first, last = map(str, get_args(kind))
        return f"{', '.join(first)} or {last}" if first else last
    known = [
        (Numbers, "a number or a list of numbers"), (Flag, "true or false"), (bool, "true or false"),
        (Word, "one word"), (str, "one word"), (int, f"a whole number up to {LARGEST}"),
        (float, f"a number up to {LARGEST}"), (dict, "named values"),
    ]  # fmt: skip
    if Sequence in (get_origin(entry) for entry in (kind, *get_args(kind))):
        return "a list of numbers"
    return next((text for entry, text in known if kind == entry), str(kind))
