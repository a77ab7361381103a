"""Classifiers by name, made fully convolutional."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from fullconv.errors import ModelFileError, UsageError
from fullconv.models import download, keras_resnet
from fullconv.models.arguments import check_arguments
from fullconv.models.convolutionalize import convolutionalize
from fullconv.models.keras_h5 import read_arrays
from fullconv.models.start import Start, stated_arguments
from fullconv.models.timm_facts import TIMM
from fullconv.models.weights import read_weights, timm_metadata, transplant
from fullconv.names import check_network

TORCHVISION = "torchvision/"


@dataclass(kw_only=True)
class Classifier(Start):
    """A classifier made fully convolutional: images ``n 3 H W`` -> logits ``n classes h w``."""

    network: nn.Module


def build_classifier(
    name: str, weights: str = "imagenet", head_weights: str = "", encoder_args: dict[str, Any] | None = None
) -> Classifier:
    """An ImageNet-1k classifier that scores every place: images ``n 3 H W`` -> logits ``n 1000 h w``.

    Args:
        name: a timm classifier (``resnet50``), torchvision's as ``torchvision/resnet50``, or ``keras_resnet50``.
        weights: ``imagenet`` (downloaded once), ``none``, or a file of timm's or torchvision's parameter names. A file
            may name its architecture arguments, mean and std in its metadata; they are used. For ``keras_resnet50``
            an ``.h5`` file that Keras wrote, with or without the last layer, or what ``fullconv import`` made of it.
        head_weights: an HDF5 file with datasets ``w`` ``[features, classes]`` and ``b`` ``[classes]`` for the last
            layer alone, as Keras users keep them.
        encoder_args: those of timm's arguments that mean architecture (:data:`fullconv.models.timm_facts.TIMM`).

    Raises:
        UsageError: no such classifier, weights that cannot be had, or a head that cannot be made convolutional.
        ModelFileError: a weights file that is damaged or does not fit.
    """
    built = Start()
    args = dict(encoder_args or {})
    if name == keras_resnet.NAME:
        check_arguments({}, args, f"classifier {name}: encoder_args")
        network = convolutionalize(_keras(weights, head_weights, built), (224, 224))
        if head_weights:
            _load_head(network, head_weights)
        return Classifier(network=network, **vars(built))
    if Path(weights).suffix in (".h5", ".hdf5"):
        raise UsageError(f"{weights}: weights of Keras, which fit its own network; use --encoder {keras_resnet.NAME}")
    state: dict[str, Tensor] = {}
    if weights not in ("imagenet", "none"):
        state, metadata = read_weights(weights)
        args = {
            **stated_arguments(weights, timm_metadata(metadata), name.removeprefix(TORCHVISION), TIMM, built),
            **args,
        }
    if name.startswith(TORCHVISION):
        check_arguments({}, args, f"classifier {name}: encoder_args")
        classifier, size = _torchvision(name.removeprefix(TORCHVISION), weights), (224, 224)
    else:
        classifier, size = _timm(name, weights, args, built)
    if state:
        report = transplant(state, classifier)
        if report.left:
            missing, why = next(iter(report.left.items()))
            raise ModelFileError(
                f"{weights}: does not fit {name}: {missing} ({why}); give the weights of the same architecture"
            )
        built.notes.append(f"weights from {Path(weights).name}: {report}")
    network = convolutionalize(classifier, size)
    if head_weights:
        _load_head(network, head_weights)
        built.warnings.append(
            f"a last layer fits the body that it was trained on; scores mean little if {Path(head_weights).name} is of "
            f"another than {name} with these weights; if it is of Keras's ResNet-50, use --encoder {keras_resnet.NAME}"
        )
    return Classifier(network=network, **vars(built))


def _keras(weights: str, head_weights: str, built: Start) -> nn.Module:
    """Keras's ResNet-50 with the weights of an ``.h5`` file."""
    if weights == "imagenet":
        raise UsageError(
            f"{keras_resnet.NAME} has no download here; give Keras's own file with --encoder-weights, which "
            "keras.applications.ResNet50().save_weights('resnet50.weights.h5') writes"
        )
    built.mean, built.std = keras_resnet.MEAN, keras_resnet.STD
    if weights == "none":
        return keras_resnet.keras_resnet50()
    if Path(weights).suffix in (".h5", ".hdf5"):
        state = keras_resnet.read_resnet50(weights)
    else:
        state, metadata = read_weights(weights)
        if timm_metadata(metadata).get("architecture") != keras_resnet.NAME:
            raise UsageError(f"{weights}: not Keras's ResNet-50; give its .h5 file, or what fullconv import made of it")
    built.licence = keras_resnet.LICENCE
    if "fc.weight" not in state and not head_weights:
        raise UsageError(f"{weights}: has no last layer; give one with --head-weights, such as weights_dense.h5")
    if "fc.weight" in state and len(state["fc.weight"]) != 1000:
        raise UsageError(f"{weights}: its last layer has {len(state['fc.weight'])} classes, not ImageNet's 1000")
    network = keras_resnet.keras_resnet50()
    report = transplant(state, network)
    built.notes.append(f"weights from {Path(weights).name}: {report}")
    return network


def _timm(name: str, weights: str, args: dict[str, Any], built: Start) -> tuple[nn.Module, tuple[int, int]]:
    if not timm.is_model(check_network(name)):
        near = difflib.get_close_matches(name, timm.list_models(), 3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them"
        raise UsageError(f"no classifier is called {name!r}; {hint}")
    args = check_arguments(TIMM, args, f"classifier {name}: encoder_args")
    try:
        classifier: nn.Module = timm.create_model(name, pretrained=False, **args)
    except Exception as error:  # on values that make no sense together timm raises almost anything
        raise UsageError(f"classifier {name} does not take these encoder_args: {args} ({error})") from error
    settings = timm.get_pretrained_cfg(name)
    size = (224, 224)
    if settings is not None:
        size = (settings.input_size[-2], settings.input_size[-1])
        if weights == "imagenet":
            classifier.load_state_dict(download.timm_weights(name))
            built.mean, built.std = tuple(settings.mean), tuple(settings.std)
            built.licence = str(settings.license or "")
    elif weights == "imagenet":
        raise UsageError(f"timm has no pretrained weights for {name}; give a file, or --encoder-weights none")
    return classifier, size


def _torchvision(name: str, weights: str) -> nn.Module:
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        near = difflib.get_close_matches(name, names, 3, cutoff=0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UsageError(f"torchvision has no classifier called {name!r}{hint}")
    classifier: nn.Module = torchvision.models.get_model(name, weights=None)
    if weights == "imagenet":
        classifier.load_state_dict(download.torchvision_weights(name))
    return classifier


def _load_head(network: nn.Module, path: str) -> None:
    """Replace the last layer's weights by those of an HDF5 file."""
    w, b = (torch.from_numpy(array) for array in read_arrays(path, "w", "b"))
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    expected = (last.in_channels, last.out_channels)
    if tuple(w.shape) != expected or tuple(b.shape) != expected[1:] or last.kernel_size != (1, 1):
        raise ModelFileError(
            f"{path}: w is {list(w.shape)} and b {list(b.shape)}; the last layer takes {list(expected)} and "
            f"{[expected[1]]}"
        )
    with torch.no_grad():
        last.weight.copy_(w.T[:, :, None, None])
        bias: Tensor | None = last.bias
        if bias is None:
            last.bias = nn.Parameter(b.float())
        else:
            bias.copy_(b)
