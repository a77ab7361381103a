"""Convolutions on a CPU: where oneDNN is wrong in bf16 they are computed another way, where it is slow too.

*Wrong.* With torch 2.14 (oneDNN 3.12), on a processor with AMX, used and not used, numbers that lay in memory before
get into its results:

- the gradient of the weights, where a tap of the kernel meets nothing but padding, or where the convolution writes a
  single row or column: 7x7 on maps of up to 2x3, 3x3 with stride 2 on 1x1, a transposed one that reads 1x1;
- the result itself (and a transposed one's gradient of the input) of a strided convolution that writes one column;
- nearly every gradient of a dilated one's weights; a dilated one whose padding is not that of "same" can even end the
  process;
- the gradient of the input with unequal strides.

A sweep over kernel, stride, padding, dilation, groups, channels, memory format and map size found these, and nothing
else; ``tests/models/test_cpu_bf16.py`` repeats a part of it. :func:`is_trusted` is wider than what was found: it lets
through undilated convolutions that read at least a kernel and write at least 2x2, and 1x1 ones. The others are
computed in fp32 (which the same sweep found right), those that are dilated first as undilated ones of each phase of
the grid, in bf16. Linear layers, products of matrices, pooling, interpolation and norms were right throughout.

*Slow.* Gradients of depthwise convolutions: :mod:`fullconv.models.depthwise`. Dilated depthwise ones that are padded by
8 places or more (5x5 with dilation 4, 3x3 with 8), in any dtype: by the phases of the grid too
(``benchmarks/README.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fullconv.models.depthwise import depthwise, is_slow

Pair = tuple[int, ...]
"""One number for each direction of the map."""
WIDE_PADDING = 8
"""Of a depthwise convolution, from which on oneDNN's quick kernels do not take it."""


def careful_convolutions() -> AbstractContextManager[object]:
    """Within it every convolution on a CPU is right in bf16, and its gradient quick, whoever calls it: ``torch.nn``,
    timm, SMP.

    Every network of ours is trained in it (:class:`fullconv.models.network.SegmentationNetwork`).
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return nullcontext() if traced else _CarefulConvolutions()


class _CarefulConvolutions(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in _ARGUMENTS:
            return func(*args, **(kwargs or {}))
        given = dict(zip(_ARGUMENTS[func], args, strict=False)) | (kwargs or {})
        input = given["input"]
        return _convolve(func, **given) if input.device.type == "cpu" and input.is_floating_point() else func(**given)


_PLAIN = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_ARGUMENTS = {
    F.conv1d: _PLAIN, F.conv2d: _PLAIN, F.conv3d: _PLAIN,
    F.conv_transpose1d: _TRANSPOSED, F.conv_transpose2d: _TRANSPOSED, F.conv_transpose3d: _TRANSPOSED,
}  # fmt: skip


def computes_in_bf16(input: Tensor) -> bool:
    """Whether a convolution of this tensor is one in bf16 on a CPU."""
    if input.device.type != "cpu" or not input.is_floating_point():
        return False
    autocast = torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") == torch.bfloat16 if autocast else input.dtype == torch.bfloat16


def is_trusted(kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, read: Pair, written: Pair) -> bool:
    """Whether oneDNN computes this convolution and its gradients in bf16 as they are.

    Args:
        kernel, stride, padding, dilation: of the convolution.
        read, written: size of the map that it reads and writes; of a transposed one they change places.
    """
    if len(set(stride)) > 1:
        return False
    for k, s, p, d, before, after in zip(kernel, stride, padding, dilation, read, written, strict=True):
        if k == 1 and s == 1 and p == 0:
            continue
        if (d > 1 and k > 1) or p >= k or before < k or after < 2:
            return False
    return True


def _convolve(
    func: Any,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """A convolution, by the way that is right."""
    dims = weight.ndim - 2
    kernel, steps, spread = tuple(weight.shape[2:]), _each(stride, dims), _each(dilation, dims)
    if isinstance(padding, str):
        input, padding = _padded(input, padding, kernel, spread)
    around, more = _each(padding, dims), _each(output_padding, dims)
    options: dict[str, Any] = {"stride": steps, "padding": around, "groups": groups, "dilation": spread}
    if _ARGUMENTS[func] is _TRANSPOSED:
        options["output_padding"] = more
        written = tuple(input.shape[-dims:])
        along = zip(written, kernel, steps, around, spread, more, strict=True)
        read = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + o for n, k, s, p, d, o in along)
    else:
        read = tuple(input.shape[-dims:])
        both = zip(read, kernel, steps, around, spread, strict=True)
        written = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in both)
    bf16 = computes_in_bf16(input)
    in_phases = (
        func is F.conv2d and max(spread) > 1 and set(steps) == {1} and input.ndim == 4 and min(*read, *written) > 0
        and not any(p % d for p, d in zip(around, spread, strict=True))
    )  # fmt: skip
    if in_phases and groups == input.shape[1] == weight.shape[0] and max(around) >= WIDE_PADDING:
        return _by_phases(input, weight, bias, around, spread, groups, written)
    if not bf16 or is_trusted(kernel, steps, around, spread, read, written) or min(*read, *written) < 1:
        dtype = torch.bfloat16 if bf16 else input.dtype
        if func is F.conv2d and is_slow(input, weight, steps, spread, groups, written, dtype):
            told = None if bias is None else bias.to(dtype)
            return depthwise(input.to(dtype), weight.to(dtype), told, steps[0], around)
        result: Tensor = func(input, weight, bias, **options)
        return result
    if func is F.conv2d and max(spread) > 1 and set(steps) == {1} and input.ndim == 4:
        if read == written and all(k % 2 for k in kernel) and not torch.is_grad_enabled():  # the result is right
            return F.conv2d(input, weight, bias, **options)
        if in_phases:
            return _by_phases(input, weight, bias, around, spread, groups, written)
    with torch.autocast("cpu", enabled=False):
        result = func(input.float(), weight.float(), None if bias is None else bias.float(), **options)
    return result.to(torch.bfloat16)


def _padded(input: Tensor, padding: str, kernel: Pair, dilation: Pair) -> tuple[Tensor, Pair]:
    """The input and padding in numbers for ``valid`` or ``same``, which pads an odd number one more behind."""
    total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    if any(value % 2 for value in total):
        input = F.pad(input, [value % 2 * side for value in reversed(total) for side in (0, 1)])
    return input, tuple(value // 2 for value in total)


def _each(value: Any, dims: int) -> Pair:
    """One number per direction."""
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return values * dims if len(values) == 1 else values


def _by_phases(
    input: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, dilation: Pair, groups: int, written: Pair
) -> Tensor:
    """A dilated 2-D convolution of stride 1 as undilated ones of every phase of the grid, in one batch."""
    images, _, height, width = input.shape
    down, right = dilation
    rows, columns = -(-height // down), -(-width // right)
    padded = F.pad(input, (0, columns * right - width, 0, rows * down - height)).permute(0, 2, 3, 1)
    phases = padded.reshape(images, rows, down, columns, right, -1).permute(0, 2, 4, 1, 3, 5)
    phases = phases.reshape(images * down * right, rows, columns, -1).permute(0, 3, 1, 2)
    found = _convolve(F.conv2d, phases, weight, bias, 1, (padding[0] // down, padding[1] // right), 0, groups)
    rows, columns = found.shape[2:]
    found = found.permute(0, 2, 3, 1).reshape(images, down, right, rows, columns, -1).permute(0, 3, 1, 4, 2, 5)
    found = found.reshape(images, rows * down, columns * right, -1)[:, : written[0], : written[1]].permute(0, 3, 1, 2)
    return found.contiguous(memory_format=torch.channels_last)
