"""Strided depthwise convolutions, trained in bf16 on a CPU without their slow kernel.

oneDNN's backward pass of a stride-2 depthwise convolution in bf16 takes several times as long as that of the
stride-1 one on four times the places (measured in ``benchmarks/``). The same values come from convolving at stride 1
and keeping every second place, so that is what happens there; parameters, names and results stay the same.
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
        autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        slow = input.device.type == "cpu" and torch.is_grad_enabled() and (autocast or input.dtype == torch.bfloat16)
        if not slow or input.shape[2] % 2 or input.shape[3] % 2:
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


def replace_strided_depthwise(module: nn.Module) -> None:
    """Put :class:`StridedDepthwise` in the place of every stride-2 depthwise convolution below ``module``."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and _fits(child):
            setattr(module, name, StridedDepthwise(child))
        else:
            replace_strided_depthwise(child)


def _fits(layer: nn.Conv2d) -> bool:
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
