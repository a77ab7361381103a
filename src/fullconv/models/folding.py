"""A network for prediction alone: batch norms folded into the convolutions before them, activations computed with them.

In evaluation a batch norm is one factor and one offset per channel, so ``norm(conv(x))`` is a convolution with other
weights (:func:`torch.nn.utils.fusion.fuse_conv_bn_weights`): equal up to the rounding of float32. On a CPU, oneDNN
applies the activation while it still holds the convolution's result, which is otherwise written and read once more.

What follows what is found by running the network once and seeing which module took whose result, and that nobody else
took it. Then the two networks are compared; where they differ by more than rounding the network stays as it is, and so
do networks whose scores may jump at a rounding (:attr:`SegmentationNetwork.chooses`).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.padding import pad_same_arg
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from fullconv.models.cpu_bf16 import is_trusted
from fullconv.models.network import SegmentationNetwork
from fullconv.models.quick_norm import QuickBatchNorm, QuickBatchNormAct

TOLERANCE = 1e-4
"""Of the largest score: what rounding may differ."""
SMALLEST = 8
"""Sides of the maps below which convolutions in bf16 may need care (:mod:`fullconv.models.cpu_bf16`)."""
_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
_NORMS = (nn.BatchNorm2d, BatchNormAct2d, QuickBatchNorm, QuickBatchNormAct)
NO_ACTIVATION: tuple[str, list[float], str] = ("none", [], "")
_ASKS = ("__get__", "dim", "size", "numel", "is_floating_point", "is_contiguous", "stride")


def folded(network: SegmentationNetwork, channels: int) -> SegmentationNetwork:
    """A copy for prediction, which shares what is not folded; ``network`` itself where nothing can be.

    Args:
        network: in evaluation, in float32, on any device.
        channels: of its images.
    """
    if network.chooses:
        return network
    side = 2 * network.coarsest_stride
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, channels, side, side, generator=generator)
    pixels = pixels.to(next(network.parameters()).device).contiguous(memory_format=torch.channels_last)
    shared = {id(value): value for value in (*network.parameters(), *network.buffers())}
    other = copy.deepcopy(network, shared).eval()  # a copy of what torch.fx traced is in training again
    with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
        wanted = network(pixels)
        chains = _followed(other, pixels)
        if not chains:
            return network
        for chain in chains:
            _fold(other, chain)
        found = other(pixels)
    same = wanted.shape == found.shape and bool(
        (wanted - found).abs().max() <= TOLERANCE * wanted.abs().max().clamp(min=1e-30)
    )
    return other.eval() if same else network


class FoldedConvolution(nn.Module):
    """A convolution, the batch norm after it and the activation after that, as one layer.

    Args:
        convolution: whose shape it has.
        norm: None for none.
        activation: None for none.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None, activation: nn.Module | None) -> None:
        super().__init__()
        weight, bias = convolution.weight, convolution.bias
        if norm is not None:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
        self.weight, self.bias, self.activation = weight, bias, activation
        self.stride, self.dilation = convolution.stride, convolution.dilation
        self.padding, self.groups = convolution.padding, convolution.groups
        self.kernel_size = convolution.kernel_size
        self.pads_same = isinstance(convolution, Conv2dSame)
        fused = _by_onednn(activation)
        self._fused, self._after = (fused, None) if fused else (NO_ACTIVATION, activation)
        self._packs = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and torch.backends.mkldnn.is_available()
        self._depthwise = convolution.groups == convolution.in_channels and max(self.dilation) == 1
        self._kernels: dict[tuple[torch.dtype, tuple[int, int]], tuple[Tensor, Tensor | None]] = {}

    def forward(self, input: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        fused = self._is_for_onednn(input, dtype)
        padding, lead = self.padding, (0, 0)
        if self.pads_same:
            sides = pad_same_arg(list(input.shape[-2:]), list(self.kernel_size), list(self.stride), list(self.dilation))
            left, right, top, bottom = sides
            if fused and self._depthwise:
                padding, lead = (bottom, right), (bottom - top, right - left)
            elif any(sides):
                input = F.pad(input, sides)
        if not fused:
            result = F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
            return result if self.activation is None else self.activation(result)
        assert not isinstance(padding, str)
        weight, bias = self._kernel(dtype, lead, padding, list(input.shape))
        fused_result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input.to(dtype), weight, bias, padding, self.stride, self.dilation, self.groups, *self._fused
        )
        return fused_result if self._after is None else self._after(fused_result)

    def _is_for_onednn(self, input: Tensor, dtype: torch.dtype) -> bool:
        """Whether oneDNN is given weights as it lays them out: where that is quicker, and right in bf16."""
        if not self._packs or input.device.type != "cpu" or isinstance(self.padding, str):
            return False
        if dtype == torch.float32:
            return self._fused != NO_ACTIVATION
        if dtype != torch.bfloat16 or max(self.dilation) > 1:
            return False
        read = (input.shape[-2], input.shape[-1])
        if min(read) >= SMALLEST or self.pads_same:
            return min(read) >= SMALLEST
        along = zip(read, self.kernel_size, self.stride, self.padding, strict=True)
        written = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in along)
        return is_trusted(self.kernel_size, self.stride, self.padding, self.dilation, read, written)

    def _kernel(
        self, dtype: torch.dtype, lead: tuple[int, int], padding: tuple[int, ...], size: list[int]
    ) -> tuple[Tensor, Tensor | None]:
        """The weights in this arithmetic, as oneDNN lays them out, with ``lead`` rows and columns of zeros before them.

        In each pass casting and laying out would cost as much as a small image: 11 M parameters take some 15 ms. It
        is done for ``size``, that of the first input; where another wants another layout oneDNN does it again.

        TensorFlow's padding of an even size is a row and a column more behind than in front. With zeros before the
        kernel it can be as much in front: the same sums, without a padded copy of the map, which is the largest thing
        in memory and takes longer than the convolution.
        """
        if (dtype, lead) not in self._kernels:
            weight = F.pad(self.weight, (lead[1], 0, lead[0], 0)) if any(lead) else self.weight
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight.to(dtype), padding, self.stride, self.dilation, self.groups, size
            )
            self._kernels[dtype, lead] = packed, None if self.bias is None else self.bias.to(dtype)
        return self._kernels[dtype, lead]


def _by_onednn(activation: nn.Module | None) -> tuple[str, list[float], str] | None:
    """The last arguments of PyTorch's convolution with an activation by oneDNN, which its compiler uses too."""
    if isinstance(activation, nn.Hardtanh):  # and ReLU6
        return "hardtanh", [float(activation.min_val), float(activation.max_val)], ""
    return ("relu", [], "") if isinstance(activation, nn.ReLU) else None


@dataclass(eq=False)
class _Chain:
    """A convolution, and the modules that alone take its result, by name."""

    convolution: str
    norm: str = ""
    activation: str = ""


class _Call(NamedTuple):
    """A module that was run: what it took, what it gave, and how many had taken the former by then."""

    name: str
    module: nn.Module
    given: object
    result: object
    takers: int


class _Takers(TorchFunctionMode):
    """Counts by how many functions each of the tensors that it watches is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self._watched: dict[int, Tensor] = {}  # kept, so that no other tensor gets their ids

    def watch(self, result: object) -> None:
        if isinstance(result, Tensor):
            self._watched[id(result)] = result

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") not in _ASKS:
            taken = _flat((*args, *(kwargs or {}).values()))
            self.count.update(id(value) for value in taken if id(value) in self._watched)
        return func(*args, **(kwargs or {}))


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from _flat(value) if isinstance(value, (list, tuple)) else (value,)


def _followed(network: nn.Module, pixels: Tensor) -> list[_Chain]:
    """Which norm and activation alone take the result of which convolution."""
    calls: list[_Call] = []
    takers = _Takers()

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def called(module: nn.Module, inputs: Any, result: Any) -> None:
            given = inputs[0] if inputs else None
            calls.append(_Call(name, module, given, result, takers.count[id(given)]))
            takers.watch(result)

        return called

    handles = [module.register_forward_hook(hook(name)) for name, module in network.named_modules()]
    try:
        with takers:
            network(pixels)
    finally:
        for handle in handles:
            handle.remove()
    return _chains(calls, takers.count)


def _chains(calls: list[_Call], takers: Counter[int]) -> list[_Chain]:
    times = Counter(call.name for call in calls)
    by_result: dict[int, _Chain] = {}
    for call in calls:
        if times[call.name] > 1:
            continue
        if type(call.module) in _CONVOLUTIONS:
            by_result[id(call.result)] = _Chain(call.name)
            continue
        chain = by_result.get(id(call.given))
        in_place = call.result is call.given  # whoever takes it later takes the result
        if chain is None or chain.activation or (call.takers if in_place else takers[id(call.given)]) != 1:
            continue
        if type(call.module) in _NORMS and not chain.norm and getattr(call.module, "running_mean", None) is not None:
            chain.norm = call.name
            if isinstance(call.module, BatchNormAct2d) and not isinstance(call.module.act, nn.Identity):
                chain.activation = f"{call.name}.act"
        elif isinstance(call.module, (nn.ReLU, nn.Hardtanh)):
            chain.activation = call.name
        else:
            continue
        by_result[id(call.result)] = chain
    return [chain for chain in dict.fromkeys(by_result.values()) if chain.norm or chain.activation]


def _fold(network: nn.Module, chain: _Chain) -> None:
    """Put one layer in the place of three."""
    convolution = network.get_submodule(chain.convolution)
    norm = network.get_submodule(chain.norm) if chain.norm else None
    activation = network.get_submodule(chain.activation) if chain.activation else None
    assert isinstance(convolution, nn.Conv2d)
    assert norm is None or isinstance(norm, nn.BatchNorm2d)
    _put(network, chain.convolution, FoldedConvolution(convolution, norm, activation))
    for name in (chain.activation, chain.norm):
        if name:
            _put(network, name, nn.Identity())


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)
