"""Bilinear interpolation as two small matrices, and as the kernel of a transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.geometry import Window


def bilinear_kernel(in_channels: int, out_channels: int, kernel_size: int) -> Tensor:
    """Weights that make a transposed convolution interpolate bilinearly, channel ``i`` to channel ``i``.

    Args:
        in_channels, out_channels: their first ``min(in, out)`` channels are joined one to one; the rest is zero.
        kernel_size: ``2 s - s % 2`` for a stride of ``s``.

    Returns:
        float32 ``[in_channels, out_channels, kernel_size, kernel_size]``.

    Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", section 3.3;
    the filter is Caffe's ``bilinear`` filler.
    """
    factor = (kernel_size + 1) // 2
    centre = factor - 1 if kernel_size % 2 == 1 else factor - 0.5
    line = 1 - (torch.arange(kernel_size, dtype=torch.float64) - centre).abs() / factor
    weight = torch.zeros(in_channels, out_channels, kernel_size, kernel_size)
    for channel in range(min(in_channels, out_channels)):
        weight[channel, channel] = torch.outer(line, line).float()
    return weight


def full_window(size: tuple[int, int], crop: Window | None) -> Window:
    """The window itself, or the one in which the whole coarse map covers the whole image of ``size``."""
    return Window(0, 0, *size) if crop is None else crop


def upsample(
    logits: Tensor, size: tuple[int, int], crop: Window | None = None, *, align_corners: bool = False
) -> Tensor:
    """Full-resolution logits, ``n c H W``: only for whoever really needs them all at once.

    Args:
        logits: coarse scores ``n c h w``.
        size: ``(H, W)`` of the image.
        crop: where the image lies in the enlarged map; the whole of it when None.
        align_corners: as in :func:`torch.nn.functional.interpolate` (only without ``crop``).
    """
    window = full_window(size, crop)
    top, left, height, width = window
    if all(float(value).is_integer() for value in window):
        full = F.interpolate(logits, (int(height), int(width)), mode="bilinear", align_corners=align_corners)
        return full[:, :, int(top) : int(top) + size[0], int(left) : int(left) + size[1]]
    rows = axis_matrix(logits.shape[2], size[0], top, height, align_corners, logits)
    columns = axis_matrix(logits.shape[3], size[1], left, width, align_corners, logits)
    return torch.einsum("nchw,Hh,Ww->ncHW", logits, rows, columns)


def axis_matrix(coarse: int, size: int, start: float, full: float, align_corners: bool, like: Tensor) -> Tensor:
    """Interpolation along one axis as a matrix ``[size, coarse]`` with at most two non-zeros in a row.

    Row ``y`` reads coarse coordinate ``(y + start + 1/2) * coarse / full - 1/2``, clamped at both ends
    (``y * (coarse - 1) / (full - 1)`` with ``align_corners``), exactly as ``F.interpolate`` does.
    """
    low, high, fraction = _axis(coarse, size, start, full, align_corners)
    matrix = torch.zeros(size, coarse, dtype=torch.float64)
    index = torch.arange(size)
    matrix[index, low] += 1 - fraction
    matrix[index, high] += fraction
    return matrix.to(device=like.device, dtype=like.dtype)


def _axis(coarse: int, size: int, start: float, full: float, align_corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    place = torch.from_numpy(places(coarse, size, start, full, align_corners)).clamp(0, coarse - 1)
    low = place.floor().long()
    return low, (low + 1).clamp(max=coarse - 1), place - low


def places(coarse: int, size: int, start: float, full: float, align_corners: bool) -> np.ndarray:
    """The coarse coordinate of each of ``size`` pixels, float64, not yet clamped to the map."""
    pixel = np.arange(size, dtype=np.float64) + start
    if align_corners:
        return pixel * ((coarse - 1) / (full - 1) if full > 1 else 0.0)
    return (pixel + 0.5) * (coarse / full) - 0.5


def row_strips(logits: Tensor, size: tuple[int, int], strip_bytes: int, spread: int = 3) -> Iterator[slice]:
    """Cut the ``H`` output rows so that ``spread`` float32 arrays of ``n c rows W`` stay within ``strip_bytes``."""
    row = 4 * spread * logits.shape[0] * logits.shape[1] * size[1]
    rows = max(1, strip_bytes // max(row, 1))
    for first in range(0, size[0], rows):
        yield slice(first, min(first + rows, size[0]))
