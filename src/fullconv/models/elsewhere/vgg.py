"""VGG16 under the names of other frameworks -> ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from fullconv.errors import ModelFileError, first_few

MINDSPORE_EPSILON = 1e-5
"""Of MindSpore's BatchNorm2d."""
CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Of red, green and blue; Caffe's VGG16 sees pixels less these, blue first, not divided."""
_TENSORFLOW = re.compile(r"(conv\d_\d|fc[67])/(filter|weights|biases)")
_MINDSPORE = re.compile(r"conv([1-7])\.(\d+)\.weight")
_IN_BLOCKS = re.compile(r"conv[1-7]\.\d+\.\w+")
_SCORES = {
    "score_fr": "score.32", "score_pool4": "score.16", "score_pool3": "score.8", "upscore2": "upscore.16",
    "upscore_pool4": "upscore.8", "upscore8": "upscore.1",
}  # fmt: skip


def vgg16_from_tensorflow(variables: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The VGG16 of the saved_model that KITTI Road tutorials download, under our names, and metadata that go with it.

    Its convolutions are stored height, width, in, out, and its first one sees blue first: here red is first.

    Raises:
        ModelFileError: other variables.
    """
    state = {}
    for name, value in variables.items():
        match = _TENSORFLOW.fullmatch(name)
        if match is not None and match[2] == "biases":
            state[f"{match[1]}.bias"] = value
        elif match is not None and value.ndim == 4:
            state[f"{match[1]}.weight"] = value.permute(3, 2, 0, 1).contiguous()
        else:
            state[name] = value  # reported as unused
    _refuse_others(state, variables, where, "conv1_1/filter, conv1_1/biases, ...")
    state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    said = {
        "architecture": "vgg16",
        "mean": [value / 255 for value in CAFFE_MEAN],
        "std": [1 / 255] * 3,
        "licence": "not stated",
        "args": _fc_channels(state),
    }
    return state, {"timm": json.dumps(said)}


def vgg16_from_mindspore(parameters: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The VGG16 of MindSpore's FCN-8s tutorial, under our names, and metadata that go with it.

    Its batch norms are taken into the convolutions (in prediction the same network), and its first convolution, which
    sees blue first, is turned to red first.

    Raises:
        ModelFileError: other parameters.
    """
    state = {name: value for name, value in parameters.items() if not _IN_BLOCKS.fullmatch(name)}  # reported as unused
    for name in parameters:
        match = _MINDSPORE.fullmatch(name)
        if match is None or parameters[name].ndim != 4:
            continue
        block, place = int(match[1]), int(match[2])
        if place % 3 == 0 and (block < 6 or place == 0):
            ours = f"conv{block}_{place // 3 + 1}" if block < 6 else f"fc{block}"
            norm = f"conv{block}.{place + 1}."
            state[f"{ours}.weight"], state[f"{ours}.bias"] = _without_norm(parameters, name, norm, where)
    _refuse_others(state, parameters, where, "conv1.0.weight, conv1.1.gamma, ...")
    state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    return state, {"timm": json.dumps({"architecture": "vgg16", "licence": "not stated", "args": _fc_channels(state)})}


def fcn8s_from_mindspore(parameters: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], list[str]]:
    """All of MindSpore's FCN-8s under the names of :class:`fullconv.models.fcn.FCN` with ``last: transposed``.

    Returns:
        The state, and the names of the file that have no place in it (an optimiser's).

    Raises:
        ModelFileError: other parameters.
    """
    encoder, _ = vgg16_from_mindspore(parameters, where)
    state = {f"encoder.{name}": value for name, value in encoder.items() if name not in parameters}
    missing = [f"{name}.weight" for name in _SCORES if f"{name}.weight" not in parameters]
    if missing:
        raise ModelFileError(
            f"{where}: holds no {first_few(missing)}, so no whole FCN-8s; its VGG16 alone is a start: "
            "fullconv train --encoder vgg16 --encoder-weights FILE"
        )
    for theirs, ours in _SCORES.items():
        weight = parameters[f"{theirs}.weight"]
        state[f"{ours}.weight"] = weight
        if ours.startswith("score."):
            state[f"{ours}.bias"] = parameters.get(f"{theirs}.bias", torch.zeros(len(weight)))
        elif f"{theirs}.bias" in parameters:
            raise ModelFileError(f"{where}: {theirs} has a bias, which our enlargement does not have")
    return state, [name for name in encoder if name in parameters and name.rpartition(".")[0] not in _SCORES]


def _without_norm(parameters: Mapping[str, Tensor], name: str, norm: str, where: str) -> tuple[Tensor, Tensor]:
    """A convolution with the batch norm after it taken in: weight and bias."""
    weight = parameters[name]
    bias = parameters.get(name.removesuffix("weight") + "bias", torch.zeros(len(weight)))
    parts = [parameters.get(norm + part) for part in ("gamma", "beta", "moving_mean", "moving_variance")]
    if all(part is None for part in parts):
        return weight, bias
    gamma, beta, mean, variance = (part if part is not None else torch.empty(0) for part in parts)
    if any(part.shape != bias.shape for part in (gamma, beta, mean, variance)):
        raise ModelFileError(f"{where}: the batch norm {norm.rstrip('.')} is incomplete; save the checkpoint again")
    factor = gamma.double() / (variance.double() + MINDSPORE_EPSILON).sqrt()
    shifted = beta.double() + (bias.double() - mean.double()) * factor
    return (weight.double() * factor.view(-1, 1, 1, 1)).float(), shifted.float()


def _refuse_others(state: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str, expected: str) -> None:
    first = state.get("conv1_1.weight")
    if first is None or first.ndim != 4 or first.shape[1] != 3:
        raise ModelFileError(
            f"{where}: holds {first_few(sorted(found), 4) or 'nothing'}; expected a VGG16 of {expected}: rename its "
            "parameters by the script in docs/import.md"
        )


def _fc_channels(state: Mapping[str, Tensor]) -> dict[str, int]:
    wide = state.get("fc6.weight")
    return {} if wide is None else {"fc_channels": len(wide)}
