"""The gradients of depthwise convolutions of maps stored channels last, in bf16 or float32.

``read [n, H, W, c]`` is what the convolution reads, ``slope [n, h, w, c]`` the gradient of what it writes, and for each
tap ``i, j`` of the kernel

    weight[i, j, c]  =  sum over n, y, x of  slope[n, y, x, c] * read[n, stride * y + i - top, stride * x + j - left, c]
    input[n, r, q, c]  =  sum over the y, x, i, j that read r, q there of  slope[n, y, x, c] * weight[i, j, c]

Sums are float32. oneDNN takes many times as long for 5x5 kernels and for strides in bf16 (``benchmarks/README.md``).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fullconv.ops.cpu.depthwise_passes import input_task, weight_task
from fullconv.ops.cpu.threads import run_all

CHANNELS = 128  # worked on at once, at most: a kernel's sums and its rows stay in the second cache
LANES = 16  # float32 in a register
Pair = tuple[int, int]


def weight_gradient(read: Tensor, slope: Tensor, kernel: Pair, stride: int, padding: Pair) -> Tensor:
    """float32 ``[c, 1, *kernel]``. The same for any number of threads.

    Args:
        read: ``[n, c, H, W]``, bf16 or float32.
        slope: ``[n, c, h, w]``, as ``read`` is.
        padding: zeros above and on the left.
    """
    maps, slopes = _stored(read), _stored(slope)
    images, channels = read.shape[:2]
    out = np.empty((images, *kernel, channels), np.float32)
    cut = _cuts(channels)
    run_all(
        weight_task,
        [(maps[n, ..., c], slopes[n, ..., c], stride, *padding, out[n, ..., c]) for n in range(images) for c in cut],
    )
    return torch.from_numpy(out.sum(0)).permute(2, 0, 1)[:, None].contiguous()


def input_gradient(slope: Tensor, weight: Tensor, stride: int, padding: Pair, size: Pair) -> Tensor:
    """``[n, c, *size]``, as ``slope`` ``[n, c, h, w]`` is stored, channels last; ``weight`` ``[c, 1, i, j]``."""
    images, channels = slope.shape[:2]
    taps = np.ascontiguousarray(weight.detach().float()[:, 0].permute(1, 2, 0).numpy())
    out = torch.empty((images, channels, *size), dtype=slope.dtype, memory_format=torch.channels_last)
    maps, slopes = _stored(out), _stored(slope)
    cut = _cuts(channels)
    run_all(
        input_task,
        [(slopes[n, ..., c], taps[..., c], stride, *padding, maps[n, ..., c]) for n in range(images) for c in cut],
    )
    return out


def _cuts(channels: int) -> list[slice]:
    parts = -(-channels // CHANNELS)
    step = -(-channels // (parts * LANES)) * LANES
    return [slice(first, first + step) for first in range(0, channels, step)]


def _stored(tensor: Tensor) -> np.ndarray:
    """``[n, h, w, c]`` of a map, bf16 as int16; a copy unless it is stored channels last."""
    last = tensor.detach().permute(0, 2, 3, 1).contiguous()
    stored: np.ndarray = (last.view(torch.int16) if last.dtype == torch.bfloat16 else last).numpy()
    return stored
