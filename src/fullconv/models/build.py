"""From names to networks, and where an encoder's weights come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from itertools import pairwise
from typing import Any

import timm
import torch
from torch import nn

from fullconv.errors import FullconvError, ModelFileError, UsageError
from fullconv.models import download
from fullconv.models.arguments import check_arguments, check_network, taken_by_encoder, taken_by_model
from fullconv.models.cpu_bf16 import quicken_convolutions
from fullconv.models.deeplab import DeepLab, Dilated
from fullconv.models.encoder import Encoder
from fullconv.models.fcn import FCN
from fullconv.models.fpn import FPN
from fullconv.models.fpn import STRIDES as FPN_STRIDES
from fullconv.models.hypercolumn import Hypercolumn
from fullconv.models.network import SegmentationNetwork
from fullconv.models.relu6 import lean_activations
from fullconv.models.segnet import PoolingVGG16, SegNet
from fullconv.models.smp_network import SmpNetwork
from fullconv.models.timm_encoder import TimmEncoder
from fullconv.models.torchvision_network import TorchvisionNetwork
from fullconv.models.unet import STRIDES as UNET_STRIDES
from fullconv.models.unet import UNet
from fullconv.models.vgg import VGG16, torchvision_names, torchvision_names_with_norms
from fullconv.models.weights import TransplantReport, read_weights, timm_metadata, transplant
from fullconv.models.wide_fcn import WideFCN
from fullconv.spec import IMAGENET_MEAN, IMAGENET_STD, sound_mean_and_std


@dataclass(kw_only=True)
class Start:
    """What is to be known of the weights that a network starts with.

    Attributes:
        mean, std: what they expect.
        licence: of theirs, as far as their file says.
        notes: lines for the user: what was loaded from where.
        listing: the same, parameter by parameter.
        warnings: lines on what may be wrong with them.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    licence: str = ""
    notes: list[str] = field(default_factory=list)
    listing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, source: str, report: TransplantReport) -> None:
        """Keep which parameters were loaded, reshaped or missing in ``source``."""
        self.notes.append(f"{source}: {report}")
        self.listing.append(f"{source}: {report.listing()}")


@dataclass(kw_only=True)
class BuiltModel(Start):
    """A network with what must be remembered to build it again.

    Attributes:
        network: image -> coarse logits.
        config: arguments of :func:`build_model` that give the same architecture, JSON-ready.
    """

    network: SegmentationNetwork
    config: dict[str, Any]


MakeEncoder = Callable[..., Encoder]
"""``make_encoder(strides, **encoder_args)``; ``own_head=True``: the network has what stands for VGG's fc6 and fc7."""


def _fcn(*streams: int) -> Callable[..., SegmentationNetwork]:
    def build(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
        chosen = tuple(args.pop("streams", streams))
        if list(chosen) != sorted(chosen, reverse=True) or any(a % b for a, b in pairwise(chosen)):
            raise UsageError(f"streams must go from coarse to fine by whole factors, found {chosen}; e.g. 32, 16, 8")
        network = WideFCN if args.pop("decoder", "scores") == "wide" else FCN
        takes = signature(network).parameters
        strange = [name for name in args if name not in takes]
        if strange:
            raise UsageError(f"model_args: {strange[0]} belongs to the other decoder of an FCN; leave one of them out")
        return network(make_encoder(chosen), num_classes, chosen, **args)

    return build


def _unet(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
    return UNet(make_encoder(UNET_STRIDES), num_classes, **args)


def _fpn(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
    return FPN(make_encoder(FPN_STRIDES), num_classes, **args)


def _segnet(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
    encoder = make_encoder((32,), pooling_indices=True)
    return SegNet(encoder, num_classes, **args)  # type: ignore[arg-type]


def _deeplab(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
    stride = args.get("output_stride", 8)
    if stride not in (8, 16):
        raise UsageError(f"output_stride must be 8 or 16, found {stride!r}")
    return DeepLab(make_encoder((stride,), output_stride=stride, own_head=True), num_classes, **args)


def _dilated(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
    return Dilated(make_encoder((8,), output_stride=8), num_classes, **args)


def _hypercolumn(make_encoder: MakeEncoder, num_classes: int, **args: Any) -> SegmentationNetwork:
    return Hypercolumn(make_encoder(tuple(args.get("strides", (32, 16, 8, 4)))), num_classes, **args)


MODELS: dict[str, Callable[..., SegmentationNetwork]] = {
    "fcn32s": _fcn(32),
    "fcn16s": _fcn(32, 16),
    "fcn8s": _fcn(32, 16, 8),
    "fcn4s": _fcn(32, 16, 8, 4),
    "unet": _unet,
    "fpn": _fpn,
    "segnet": _segnet,
    "deeplab": _deeplab,
    "dilated": _dilated,
    "hypercolumn": _hypercolumn,
}


FOREIGN = ("torchvision", "smp")


def build_model(
    name: str,
    num_classes: int,
    encoder: str = "resnet34",
    encoder_weights: str = "none",
    in_channels: int = 3,
    encoder_args: dict[str, Any] | None = None,
    model_args: dict[str, Any] | None = None,
) -> BuiltModel:
    """Build a network.

    Args:
        name: one of :data:`MODELS`, or one of :data:`FOREIGN` with a network of that library as the encoder.
        num_classes: channels of the logits.
        encoder: ``vgg16`` (ours, with the paper's taps) or any timm network with features.
        encoder_weights: ``imagenet`` (downloaded once by timm or torchvision), ``none``, or a file. A file may
            name its architecture arguments, mean and std in its metadata; they are used.
        in_channels: channels of the image.
        encoder_args: for timm's network (:data:`fullconv.models.arguments.TIMM`), or for :class:`VGG16`.
        model_args: for the network's class, for example :class:`FCN`.

    Raises:
        UsageError: an unknown name or argument, or weights that are not available.
        ModelFileError: a weights file that is damaged or does not fit.
    """
    if name in FOREIGN:
        return _foreign(name, num_classes, encoder, encoder_weights, in_channels, encoder_args, model_args)
    if name not in MODELS:
        raise UsageError(f"no model is called {name!r}; there are {', '.join(MODELS)}")
    check_network(encoder)
    own_args = check_arguments(taken_by_model(name), model_args or {}, f"model {name}: model_args")
    start = Start()
    args = dict(encoder_args or {})
    state: dict[str, torch.Tensor] = {}
    if encoder_weights not in ("imagenet", "none"):
        state, metadata = read_weights(encoder_weights)
        args = {**stated_arguments(encoder_weights, timm_metadata(metadata), encoder, start), **args}

    def make_encoder(strides: tuple[int, ...], own_head: bool = False, **more: Any) -> Encoder:
        made: Encoder
        if more.pop("pooling_indices", False):
            if encoder != "vgg16":
                raise UsageError(f"segnet has VGG16's pooling indices; use --encoder vgg16, found {encoder}")
            check_arguments(taken_by_encoder(encoder, name), args, "encoder vgg16 of segnet: encoder_args")
            made = PoolingVGG16(in_channels)
        elif encoder == "vgg16":
            made = _vgg16(in_channels, {**({"fc_channels": 0} if own_head else {}), **args, **more})
        else:
            made = TimmEncoder(encoder, strides, in_channels, {**args, **more})
        missing = [stride for stride in strides if stride not in made.channels]
        if missing:
            raise UsageError(f"encoder {encoder} has taps at strides {sorted(made.channels)}, not {missing[0]}")
        if encoder_weights == "imagenet":
            _load_imagenet(made, encoder, start)
        elif state:
            _load_state(made, state, os.fspath(encoder_weights), start)
        return made

    try:
        network = MODELS[name](make_encoder, num_classes, **own_args)
    except (TypeError, ValueError) as error:
        if isinstance(error, FullconvError):
            raise
        raise UsageError(f"model {name} does not take these model_args: {own_args} ({error})") from error
    quicken_convolutions(network)
    lean_activations(network)
    _probe(network, encoder, in_channels, num_classes)
    config = {
        "name": name,
        "num_classes": num_classes,
        "encoder": encoder,
        "in_channels": in_channels,
        "encoder_args": args,
        "model_args": own_args,
    }
    return BuiltModel(network=network, config=config, **vars(start))


def _foreign(
    name: str,
    num_classes: int,
    network: str,
    encoder_weights: str,
    in_channels: int,
    encoder_args: dict[str, Any] | None,
    model_args: dict[str, Any] | None,
) -> BuiltModel:
    """A whole network of another library; its name stands where the encoder's does."""
    if encoder_weights != "none" or encoder_args or (name == "torchvision" and (in_channels != 3 or model_args)):
        raise UsageError(
            f"model {name} takes no weights or arguments of its encoder; to start from trained ones use --init-from "
            "with a model that fullconv saved"
        )
    args = dict(model_args or {})
    built: SegmentationNetwork = (
        TorchvisionNetwork(network, num_classes) if name == "torchvision" else SmpNetwork(network, num_classes, args)
    )
    quicken_convolutions(built)
    lean_activations(built)
    config = {
        "name": name, "num_classes": num_classes, "encoder": network, "in_channels": in_channels,
        "encoder_args": {}, "model_args": args,
    }  # fmt: skip
    return BuiltModel(network=built, config=config)


@torch.no_grad()
def _probe(network: nn.Module, encoder: str, in_channels: int, num_classes: int) -> None:
    """Run one small image through: some timm networks name features but take one image size only, or give n h w c."""
    with torch.random.fork_rng(devices=[]):
        try:
            shape = network.eval()(torch.zeros(1, in_channels, 64, 96)).shape
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise UsageError(
                f"encoder {encoder} does not take images of any size ({reason}); choose another"
            ) from error
        finally:
            network.train()
    if len(shape) != 4 or shape[1] != num_classes:
        raise UsageError(f"encoder {encoder} gives features of an unusual layout; choose a convolutional one")


def stated_arguments(path: str, said: dict[str, Any], encoder: str, built: Start) -> dict[str, Any]:
    """The architecture arguments that a weights file names in its metadata; mean, std and licence go to ``built``.

    Raises:
        UsageError: weights of another network.
        ModelFileError: metadata that name more than an architecture.
    """
    architecture = check_network(said.get("architecture", encoder), path, ModelFileError)
    if architecture != encoder:
        raise UsageError(f"{path}: holds weights of {architecture}, not of {encoder}; use --encoder {architecture}")
    built.mean, built.std = _numbers(said, "mean", built.mean, path), _numbers(said, "std", built.std, path)
    if not sound_mean_and_std(built.mean, built.std):
        raise ModelFileError(
            f"{path}: its metadata say mean {built.mean} and std {built.std}; expected those of pixels from 0 to 1"
        )
    built.licence = str(said.get("licence", ""))
    takes = taken_by_encoder(encoder)
    return check_arguments(takes, said.get("args", {}), f"{path}: its metadata's args", ModelFileError)


def _vgg16(in_channels: int, args: dict[str, Any]) -> VGG16:
    check_arguments(taken_by_encoder("vgg16"), args, "encoder vgg16: encoder_args")
    try:
        return VGG16(in_channels, **args)
    except (TypeError, ValueError) as error:
        raise UsageError(f"encoder vgg16 does not take these encoder_args: {args} ({error})") from error


def _numbers(said: dict[str, Any], name: str, default: tuple[float, ...], path: str) -> tuple[float, ...]:
    """A list of numbers from a weights file's metadata, or the default where it names none."""
    values = said.get(name)
    if values is None:
        return default
    if not isinstance(values, list) or not values or not all(type(value) in (int, float) for value in values):
        raise ModelFileError(f"{path}: its metadata's {name} is {str(values)[:60]!r}; expected a number per channel")
    return tuple(float(value) for value in values)


def _load_state(encoder: Encoder, state: dict[str, torch.Tensor], origin: str, built: Start) -> None:
    if isinstance(encoder, VGG16 | PoolingVGG16):
        report = _load_vgg(encoder, state, origin)
    else:
        assert isinstance(encoder, TimmEncoder)
        report = encoder.load(state, origin)
    built.note(f"encoder weights from {os.path.basename(origin)}", report)


def _load_vgg(encoder: VGG16 | PoolingVGG16, state: dict[str, torch.Tensor], origin: str) -> TransplantReport:
    """From torchvision's names or our own; all 13 convolutions, or none of it."""
    own = bool(set(encoder.state_dict()) & set(state))
    norms = any(name.endswith("running_mean") for name in state)
    if isinstance(encoder, VGG16):
        if "features.1.running_mean" in state:
            raise UsageError(f"{origin}: a VGG16 with norms, which this one does not have; give torchvision's vgg16")
        rename = {} if own else torchvision_names(list(state))
    else:
        rename = {} if own else torchvision_names_with_norms(list(state))
        if norms and not own:  # these convolutions have no bias: the norm that follows takes it in
            state = without_biases(state, rename)
    report = transplant(state, encoder, rename)
    taken = [name for name in (*report.copied, *report.reshaped) if name.startswith("conv") and name.endswith("weight")]
    convolutions = [name for name in taken if encoder.get_parameter(name).ndim == 4]
    if len(convolutions) != 13:
        raise UsageError(
            f"{origin}: {len(convolutions)} of VGG16's 13 convolutions are in it; expected torchvision's vgg16 "
            f"{'' if isinstance(encoder, VGG16) else 'or vgg16_bn '}or our own names"
        )
    return report


def without_biases(state: dict[str, torch.Tensor], rename: dict[str, str]) -> dict[str, torch.Tensor]:
    """The same network with the biases of convolutions moved into the means of the norms after them."""
    theirs = {ours: name for name, ours in rename.items()}
    moved = dict(state)
    for ours, name in theirs.items():
        if ours.endswith(".0.bias"):
            mean = theirs[ours.removesuffix(".0.bias") + ".1.running_mean"]
            moved[mean] = moved[mean] - moved.pop(name)
    return moved


def _load_imagenet(encoder: Encoder, name: str, built: Start) -> None:
    if isinstance(encoder, VGG16 | PoolingVGG16):
        state = download.torchvision_weights("vgg16" if isinstance(encoder, VGG16) else "vgg16_bn")
        built.licence = "BSD-3-Clause (torchvision)"
    else:
        state = download.timm_weights(name)
        settings: Any = timm.get_pretrained_cfg(name)
        built.mean, built.std = tuple(settings.mean), tuple(settings.std)
        built.licence = str(settings.license or "")
    _load_state(encoder, state, "imagenet", built)
