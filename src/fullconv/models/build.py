"""From names to networks with their first weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.models.arguments import check_arguments
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import SegmentationNetwork
from fullconv.models.quick_norm import quicken_norms
from fullconv.models.relu6 import lean_activations
from fullconv.models.start import Start, may_be_sold, stated_arguments
from fullconv.models.variants import FOREIGN, MODELS, encoder_class
from fullconv.models.weights import read_weights, timm_metadata
from fullconv.names import check_network, refuse_unknown_network


@dataclass(kw_only=True)
class BuiltModel(Start):
    """A network with what must be remembered to build it again.

    Attributes:
        network: image -> coarse logits.
        config: arguments of :func:`build_model` that give the same architecture, JSON-ready.
    """

    network: SegmentationNetwork
    config: dict[str, Any]


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
        encoder_args: for timm's network (:data:`fullconv.models.timm_facts.TIMM`), or for
            :class:`fullconv.models.vgg.VGG16`.
        model_args: for the network's class, for example :class:`fullconv.models.fcn.FCN`.

    Raises:
        UsageError: an unknown name or argument, or weights that are not available.
        ModelFileError: a weights file that is damaged or does not fit.
    """
    given = dict(model_args or {})
    start, body_args = Start(), dict(encoder_args or {})
    network: SegmentationNetwork
    if name in FOREIGN:
        if encoder_weights != "none" or body_args:
            raise UsageError(
                f"model {name} takes no weights or arguments of its encoder; to start from trained ones use "
                "--init-from with a model that fullconv saved"
            )
        check_arguments(FOREIGN[name].arguments(), given, f"model {name}: model_args")
        network = FOREIGN[name].make(encoder, num_classes, in_channels, given)
    elif name in MODELS:
        check_network(encoder)
        check_arguments(MODELS[name].arguments(), given, f"model {name}: model_args")
        kind, told = MODELS[name].chosen(given)
        made = kind.encoder_class(encoder) or encoder_class(encoder)
        body, body_args = _make_encoder(made, encoder, encoder_weights, kind.needs(told), in_channels, body_args, start)
        try:
            network = kind(body, num_classes, **told)
        except (TypeError, ValueError) as error:
            raise UsageError(f"model {name} does not take these model_args: {given} ({error})") from error
    else:
        refuse_unknown_network(name)
        raise AssertionError(name)
    lean_activations(network)
    quicken_norms(network)
    _probe(network, f"{'network' if name in FOREIGN else 'encoder'} {encoder}", in_channels, num_classes)
    config = {
        "name": name,
        "num_classes": num_classes,
        "encoder": encoder,
        "in_channels": in_channels,
        "encoder_args": body_args,
        "model_args": given,
    }
    return BuiltModel(network=network, config=config, **vars(start))


def _make_encoder(
    kind: type[Encoder], name: str, weights: str, needs: Needs, in_channels: int, args: dict[str, Any], start: Start
) -> tuple[Encoder, dict[str, Any]]:
    """The encoder with its first weights, and its arguments, a weights file's too; ``start`` is told of the weights."""
    state: Mapping[str, Tensor] = {}
    if weights not in ("imagenet", "none"):
        state, metadata = read_weights(weights)
        args = {**stated_arguments(weights, timm_metadata(metadata), name, kind.arguments(), start), **args}
    encoder = kind.make(name, needs, in_channels, args)
    missing = [stride for stride in needs.strides if stride not in encoder.channels]
    if missing:
        raise UsageError(f"encoder {name} has taps at strides {sorted(encoder.channels)}, not {missing[0]}")
    if weights == "imagenet":
        state, start.mean, start.std, start.licence = encoder.imagenet()
    if state:
        start.note(f"encoder weights from {os.path.basename(weights)}", encoder.load(state, os.fspath(weights)))
        if start.licence:
            sold = "" if may_be_sold(start.licence) else ", which is not known to allow commercial use"
            start.notes.append(f"licence of the encoder's weights: {start.licence}{sold}")
    return encoder, args


@torch.no_grad()
def _probe(network: SegmentationNetwork, what: str, in_channels: int, num_classes: int) -> None:
    """Run one small image through: some timm networks name features but take one image size only, or give n h w c."""
    with torch.random.fork_rng(devices=[]):
        try:
            shape = network.eval().try_out(torch.zeros(1, in_channels, 64, 96)).shape
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise UsageError(f"{what} does not take images of any size ({reason}); choose another") from error
        finally:
            network.train()
    if len(shape) != 4 or shape[1] != num_classes:
        raise UsageError(f"{what} gives features of an unusual layout; choose a convolutional one")
