"""Convolutions as they must be trained in bf16 on a CPU: two of oneDNN's gradients are slow, or wrong.

*Strided depthwise.* Its backward pass at stride 2 takes several times as long as that of the stride-1 one on four
times the places (measured in ``benchmarks/``). The same values come from convolving at stride 1 and keeping every
second place.

*Dilated.* With tensors that are channels last its gradient of the weights is wrong: off by its own size, or numbers
that lay in memory before (seen with torch 2.15 for nearly all depthwise and many dense ones; a test shows it). The same
values come from convolving each phase of the grid without dilation, for depthwise ones in half the time.

Both happen only where they are needed; parameters, names and results stay the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution of odd kernel and stride 2, sharing the parameters of the one it replaces.

    ``first`` is the first stride-1 place that is kept: 0 with symmetric padding, 1 with TensorFlow's ``same``
    padding of an even size (which pads one pixel less in front).
    """

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__(
            original.in_channels, original.out_channels, original.kernel_size[0], 2,
            groups=original.groups, bias=original.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias = original.weight, original.bias
        self.first = int(isinstance(original, Conv2dSame))
        self._plain = [original]  # in a list: not a submodule, its parameters are ours

    def forward(self, input: Tensor) -> Tensor:
        if not trains_in_bf16(input) or input.shape[2] % 2 or input.shape[3] % 2:
            plain: Tensor = type(self._plain[0]).forward(self._plain[0], input)
            return plain
        dense = F.conv2d(input, self.weight, self.bias, 1, self.kernel_size[0] // 2, 1, self.groups)
        kept: Tensor = _EverySecond.apply(dense, self.first)
        return kept


class _EverySecond(torch.autograd.Function):
    """Every second row and column from ``first`` on, with a gradient that stays channels last."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, first: int) -> Tensor:
        ctx.size, ctx.first = dense.shape, first
        return dense[:, :, first::2, first::2].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        dense = torch.empty(ctx.size, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
        dense[:, :, ctx.first :: 2, ctx.first :: 2] = gradient
        return dense, None


class DilatedConvolution(nn.Conv2d):
    """A dilated convolution that keeps the size, sharing the parameters of the one it replaces."""

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__(
            original.in_channels, original.out_channels, original.kernel_size[0], dilation=original.dilation[0],
            groups=original.groups, bias=original.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias = original.weight, original.bias
        self.padding = (self.dilation[0] * (self.kernel_size[0] // 2),) * 2

    def forward(self, input: Tensor) -> Tensor:
        if not trains_in_bf16(input):
            return F.conv2d(input, self.weight, self.bias, 1, self.padding, self.dilation, self.groups)
        images, _, height, width = input.shape
        step = self.dilation[0]
        rows, columns = -(-height // step), -(-width // step)
        padded = F.pad(input, (0, columns * step - width, 0, rows * step - height)).permute(0, 2, 3, 1)
        phases = padded.reshape(images, rows, step, columns, step, -1).permute(0, 2, 4, 1, 3, 5)
        phases = phases.reshape(images * step * step, rows, columns, -1).permute(0, 3, 1, 2)
        found = F.conv2d(phases, self.weight, self.bias, 1, self.kernel_size[0] // 2, 1, self.groups)
        found = found.permute(0, 2, 3, 1).reshape(images, step, step, rows, columns, -1).permute(0, 3, 1, 4, 2, 5)
        found = found.reshape(images, rows * step, columns * step, -1)[:, :height, :width].permute(0, 3, 1, 2)
        return found.contiguous(memory_format=torch.channels_last)


def trains_in_bf16(input: Tensor) -> bool:
    """Whether a gradient will be taken through a bf16 convolution of this tensor, on a CPU."""
    autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return input.device.type == "cpu" and torch.is_grad_enabled() and (autocast or input.dtype == torch.bfloat16)


def mend_convolutions(module: nn.Module) -> None:
    """Replace every strided depthwise and every dilated convolution below ``module``."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and _is_strided_depthwise(child):
            setattr(module, name, StridedDepthwise(child))
        elif isinstance(child, nn.Conv2d) and _is_dilated(child):
            setattr(module, name, DilatedConvolution(child))
        else:
            mend_convolutions(child)


def _is_dilated(layer: nn.Conv2d) -> bool:
    kernel, dilation = layer.kernel_size[0], layer.dilation[0]
    padding = dilation * (kernel // 2)
    return (
        type(layer) in (nn.Conv2d, Conv2dSame)
        and dilation > 1
        and layer.kernel_size == (kernel, kernel)
        and kernel % 2 == 1
        and layer.stride == (1, 1)
        and layer.dilation == (dilation, dilation)
        and (isinstance(layer, Conv2dSame) or layer.padding in ((padding, padding), "same"))
        and layer.padding_mode == "zeros"
    )


def _is_strided_depthwise(layer: nn.Conv2d) -> bool:
    kernel = layer.kernel_size[0]
    padding = (0, 0) if isinstance(layer, Conv2dSame) else (kernel // 2, kernel // 2)
    return (
        type(layer) in (nn.Conv2d, Conv2dSame)
        and layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size == (kernel, kernel)
        and kernel % 2 == 1
        and layer.stride == (2, 2)
        and layer.dilation == (1, 1)
        and layer.padding in (padding, "")
        and layer.padding_mode == "zeros"
    )
