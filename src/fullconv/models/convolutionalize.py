"""Any convolutional classifier as a fully convolutional network: class scores at every place.

The classifier is traced with ``torch.fx``; its head (what follows the last feature map) is rewritten step by step:
global pooling and flattening disappear, linear layers become convolutions with the very same weights.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models._features_fx import get_notrace_functions, is_notrace_module
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from fullconv.errors import UsageError

_POINTWISE = (
    nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.LeakyReLU,
    nn.Dropout, nn.Identity,
)  # fmt: skip
_POINTWISE_NAMES = {"relu", "relu_", "dropout", "silu", "gelu", "hardswish", "tanh", "contiguous"}


def convolutionalize(classifier: nn.Module, size: tuple[int, int] = (224, 224), channels: int = 3) -> nn.Module:
    """A copy of ``classifier`` that maps images ``n c H W`` to class logits ``n classes h w``.

    Args:
        classifier: a timm or torchvision classifier, or any other that ``torch.fx`` can trace and that pools a feature
            map before its last layers.
        size: the image size it was trained with; the kernels of VGG's first linear layer follow from it.
        channels: of the image.

    Linear layers keep their weights: after global pooling as 1x1 convolutions, VGG's fc6 as a 7x7 one. If the head
    is linear (ResNet, MobileNetV2, DenseNet, ...) the mean over places of the result equals the classifier's logits
    at any size; VGG's single place at ``size`` does. A head with norms or activations after pooling (ConvNeXt,
    MobileNetV3) is applied at every place: it sees each place's features where it was trained on their mean, so the
    mean of its results is near the classifier's logits but not equal.

    Raises:
        UsageError: the head cannot be made convolutional; it says why.

    Source: Long, Shelhamer, Darrell, arXiv:1411.4038, section 3.1.
    """
    copied = copy.deepcopy(classifier).eval()
    name = type(classifier).__name__
    try:
        graph = _Tracer().trace(copied)
        traced = fx.GraphModule(copied, graph)
        ShapeProp(traced).propagate(torch.zeros(1, channels, *size))
    except Exception as error:  # tracing runs the model's own code: it may raise anything
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{name} cannot be traced ({reason}); choose a convolutional classifier") from error
    _rewrite_head(traced, name)
    traced.graph.lint()
    traced.recompile()
    return traced


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))

    def is_leaf_module(self, module: nn.Module, module_qualified_name: str) -> bool:
        leaf = isinstance(module, nn.Linear | nn.LayerNorm) or is_notrace_module(type(module))
        return leaf or super().is_leaf_module(module, module_qualified_name)


def _rewrite_head(traced: fx.GraphModule, name: str) -> None:
    """Walk back from the output to the last feature map, then forward again, replacing."""
    output = next(node for node in traced.graph.nodes if node.op == "output")
    node, head = output.args[0], []
    while not isinstance(node, fx.Node) or node.op == "placeholder" or not _is_map(node):
        if not isinstance(node, fx.Node) or node.op == "placeholder":
            raise UsageError(f"{name} has no feature map before its last layers; choose a convolutional classifier")
        head.append(node)
        inputs = node.all_input_nodes
        if len(inputs) != 1:
            raise UsageError(f"{name}: its head joins several tensors at {node.name}; only a chain can be rewritten")
        node = inputs[0]
    if _pools(traced, node):  # VGG's pooling to 7x7
        head.append(node)
        node = node.all_input_nodes[0]
    features = node
    shape = tuple(features.meta["tensor_meta"].shape[1:])
    for step in reversed(head):
        shape = _replace(traced, step, shape, name)
    if len(shape) != 3:
        raise UsageError(f"{name}: its head does not end in class scores")


def _is_map(node: fx.Node) -> bool:
    meta = node.meta.get("tensor_meta")
    return meta is not None and len(meta.shape) == 4 and meta.shape[2] * meta.shape[3] > 1


def _replace(traced: fx.GraphModule, node: fx.Node, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Make one step of the head work on maps; ``shape`` (channels, height, width) is what one place stands for."""
    module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    if _pools(traced, node):
        after = node.meta["tensor_meta"].shape[1:]
        before = tuple(node.all_input_nodes[0].meta["tensor_meta"].shape[1:])
        _skip(node)
        if len(after) == 3 and after[1] * after[2] > 1 and tuple(after) != before:
            raise UsageError(f"{name}: its pooling to {after[1]}x{after[2]} has no convolutional form at this size")
        return (shape[0], 1, 1) if len(after) < 3 or after[1] * after[2] == 1 else shape
    if _flattens(module, node):
        _skip(node)
        return shape
    if isinstance(module, nn.Linear):
        _set(traced, node, _as_convolution(module, shape, name))
        return (module.out_features, 1, 1)
    meta = node.meta["tensor_meta"].shape
    if len(meta) == 4:  # already works on maps
        return (meta[1], *shape[1:])
    if isinstance(module, nn.LayerNorm):
        _set(traced, node, _ChannelNorm(module))
        return shape
    if isinstance(module, nn.BatchNorm1d):
        _set(traced, node, _as_batch_norm_2d(module))
        return shape
    if isinstance(module, _POINTWISE) or _called(node) in _POINTWISE_NAMES:
        return shape
    what = type(module).__name__ if module is not None else _called(node)
    raise UsageError(f"{name}: its head has a {what} after pooling, which has no convolutional form")


def _called(node: fx.Node) -> str:
    target: Any = node.target
    return str(target) if isinstance(target, str) else getattr(target, "__name__", str(target))


def _pools(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node averages over space."""
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.AdaptiveAvgPool2d)
    if _called(node) == "adaptive_avg_pool2d":
        return True
    if _called(node) != "mean":
        return False
    axes = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else ())
    return sorted(a % 4 for a in axes) == [2, 3] if isinstance(axes, (list, tuple)) else False


def _flattens(module: nn.Module | None, node: fx.Node) -> bool:
    return isinstance(module, nn.Flatten) or (module is None and _called(node) in ("flatten", "squeeze"))


def _skip(node: fx.Node) -> None:
    node.replace_all_uses_with(node.all_input_nodes[0])
    node.graph.erase_node(node)


def _set(traced: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    parent, _, child = str(node.target).rpartition(".")
    setattr(traced.get_submodule(parent), child, module)


def _as_convolution(linear: nn.Linear, shape: tuple[int, ...], name: str) -> nn.Conv2d:
    """The linear layer as a convolution over everything it saw: 1x1 after pooling, 7x7 for VGG's fc6."""
    channels, *kernel = shape
    if linear.in_features != channels * kernel[0] * kernel[1]:
        raise UsageError(
            f"{name}: a linear layer of {linear.in_features} inputs follows {channels} channels of "
            f"{kernel[0]}x{kernel[1]}; give the size it was trained with"
        )
    layer = nn.Conv2d(channels, linear.out_features, (kernel[0], kernel[1]), bias=linear.bias is not None)
    with torch.no_grad():
        layer.weight.copy_(linear.weight.view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_(linear.bias)
    return layer


class _ChannelNorm(nn.Module):
    """LayerNorm over the channels of every place of ``n c h w``."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


def _as_batch_norm_2d(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    wide = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    wide.load_state_dict(norm.state_dict())
    return wide.eval()
