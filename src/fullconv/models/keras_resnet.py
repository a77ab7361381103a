"""Keras's ResNet-50: strides in the first 1x1 convolution of a block, biases, other epsilons, Caffe's preprocessing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from fullconv.errors import ModelFileError, first_few
from fullconv.models.keras_h5 import read_keras

NAME = "keras_resnet50"
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""Of red, green and blue: what Keras's ``preprocess_input`` takes away. Nothing is divided."""
STD = (1 / 255,) * 3
LICENCE = "MIT (Keras; weights released by Kaiming He)"
BLOCKS = (3, 4, 6, 3)
EPSILON, OLD_EPSILON = 1.001e-5, 1e-3
"""Of the norms: today's, and before Keras 2.2.5, whose layers are called ``res2a_branch2a``."""
OLD = "res2a_branch2a"
HEADS = ("predictions", "probs", "fc1000")


def keras_resnet50() -> nn.Module:
    """The network of ``keras.applications.ResNet50``, with torchvision's names.

    It differs from torchvision's and timm's (v1.5) in three ways: blocks that halve do so in their first 1x1
    convolution, not in the 3x3 one; convolutions have biases; norms add 1.001e-5 to the variance. Images are normalised
    with :data:`MEAN` and :data:`STD`, red first: :func:`read_resnet50` turns the first convolution's channels.
    """
    network = resnet50(weights=None, norm_layer=partial(nn.BatchNorm2d, eps=EPSILON))
    for stage in (network.layer2, network.layer3, network.layer4):
        first = stage[0]
        first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
    return network


def read_resnet50(path: str | Path) -> dict[str, Tensor]:
    """The weights of Keras's ResNet-50 as a state dict for :func:`keras_resnet50`, with ``fc`` if the file has it.

    The norms of files of before Keras 2.2.5 added 1e-3; their variances grow by the difference.

    Raises:
        UsageError, ModelFileError: as :func:`fullconv.models.keras_h5.read_keras`, or another network's.
    """
    layers = read_keras(path)
    old = OLD in layers
    state: dict[str, Tensor] = {}
    for ours, theirs in _layer_names(old).items():
        if theirs not in layers:
            raise ModelFileError(
                f"{path}: no layer {theirs!r}; expected Keras's ResNet50, found {first_few(list(layers), 4)}"
            )
        state.update(_values(ours, layers[theirs]))
    state["conv1.weight"] = state["conv1.weight"].flip(1)  # Keras sees blue first
    heads = [name for name in HEADS if name in layers]
    if heads:
        state.update(_values("fc", layers[heads[0]]))
    places = {name: value.shape for name, value in keras_resnet50().state_dict().items()}
    for name, value in state.items():
        if not name.startswith("fc.") and value.shape != places[name]:
            raise ModelFileError(
                f"{path}: {name} is {list(value.shape)}, Keras's ResNet50 has {list(places[name])}; a file in "
                "Theano's order (th_dim_ordering) is not read"
            )
    for name, value in state.items():
        if old and name.endswith("running_var"):
            state[name] = value + (OLD_EPSILON - EPSILON)
    return state


def _layer_names(old: bool) -> dict[str, str]:
    """Keras's layer for each convolution and norm of ours."""
    names = {"conv1": "conv1", "bn1": "bn_conv1"} if old else {"conv1": "conv1_conv", "bn1": "conv1_bn"}
    for stage, blocks in enumerate(BLOCKS, 2):
        for block in range(blocks):
            for place in range(4 if block == 0 else 3):  # the fourth is the shortcut
                ours = f"layer{stage - 1}.{block}."
                layer, norm = ("downsample.0", "downsample.1") if place == 3 else (f"conv{place + 1}", f"bn{place + 1}")
                if old:
                    tail = f"{stage}{'abcdef'[block]}_branch" + ("1" if place == 3 else f"2{'abc'[place]}")
                    names[ours + layer], names[ours + norm] = f"res{tail}", f"bn{tail}"
                else:
                    tail = f"conv{stage}_block{block + 1}_{(place + 1) % 4}"
                    names[ours + layer], names[ours + norm] = f"{tail}_conv", f"{tail}_bn"
    return names


def _values(name: str, arrays: list[np.ndarray]) -> dict[str, Tensor]:
    """A layer's arrays in our layout: a kernel (height, width, in, out) as (out, in, height, width)."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array.T if array.ndim == 2 else array)) for array in arrays]
    if len(tensors) == 4:
        return dict(
            zip((f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")), tensors, strict=True)
        )
    weight = tensors[0].permute(3, 2, 0, 1).contiguous() if tensors[0].ndim == 4 else tensors[0]
    return {f"{name}.weight": weight, **({f"{name}.bias": tensors[1]} if len(tensors) > 1 else {})}
