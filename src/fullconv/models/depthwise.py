"""Depthwise convolutions on a CPU whose gradients oneDNN computes slowly: these come from kernels of ours.

In bf16 the gradient of the input of a strided one takes oneDNN 10 to 30 times as long as the convolution itself, and
that of the weights of a 5x5 kernel 50 times as long; the latter is slow in float32 too. Measured in
``benchmarks/README.md``. Values are the same up to the order of sums.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, ...]
WIDE = 5  # of a kernel whose gradient is slow
LARGE = 8192  # places of a map that is too large for oneDNN's gradient of a 3x3 kernel in bf16


def is_slow(
    input: Tensor, weight: Tensor, stride: Pair, dilation: Pair, groups: int, written: Pair, dtype: torch.dtype
) -> bool:
    """Whether a gradient of this convolution, computed in ``dtype``, is one that :func:`depthwise` takes itself."""
    if not (torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)) or input.ndim != 4:
        return False
    if dtype not in (torch.bfloat16, torch.float32):
        return False
    if not groups == input.shape[1] == weight.shape[0] or set(dilation) != {1} or len(set(stride)) > 1:
        return False
    return any(_ours(tuple(weight.shape[2:]), stride[0], written[0] * written[1], dtype))


def depthwise(input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Pair) -> Tensor:
    """``F.conv2d(input, weight, bias, stride, padding, groups=channels)`` of bf16 or float32 on a CPU."""
    result: Tensor = _Depthwise.apply(input, weight, bias, stride, padding)
    return result


def _ours(kernel: Pair, stride: int, places: int, dtype: torch.dtype) -> tuple[bool, bool]:
    """Whose gradient is faster with our kernels: the input's, the weights'."""
    bf16 = dtype == torch.bfloat16
    return bf16 and stride > 1, max(kernel) >= WIDE or (bf16 and max(kernel) > 1 and places >= LARGE)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Pair) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(input, weight, bias, stride, padding, 1, input.shape[1])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from fullconv.ops.cpu.depthwise import input_gradient, weight_gradient  # numba takes a second

        input, weight = ctx.saved_tensors
        kernel, size = tuple(weight.shape[2:]), tuple(input.shape[2:])
        asked = ctx.needs_input_grad[:3]
        ours = [False, False, False]
        if not torch.is_grad_enabled():  # PyTorch's has a derivative of its own
            fast = _ours(kernel, ctx.stride, slope.shape[2] * slope.shape[3], input.dtype)
            ours = [asked[0] and fast[0], asked[1] and fast[1], False]
        found: list[Tensor | None] = [None, None, None]
        theirs = [wanted and not own for wanted, own in zip(asked, ours, strict=True)]
        if any(theirs):
            found = list(torch.ops.aten.convolution_backward(
                slope, input, weight, [len(weight)], [ctx.stride] * 2, list(ctx.padding), [1, 1], False, [0, 0],
                len(weight), theirs,
            ))  # fmt: skip
        if ours[0]:
            found[0] = input_gradient(slope, weight, ctx.stride, ctx.padding, size)
        if ours[1]:
            found[1] = weight_gradient(input, slope, kernel, ctx.stride, ctx.padding).to(weight.dtype)
        return *found, None, None
