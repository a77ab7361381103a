"""Bilinear interpolation as two small matrices, and as the kernel of a transposed convolution."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops.checks import kept, to_device


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
    """The window itself, or the one in which the whole coarse map covers the whole image of ``size``.

    Raises:
        ValueError: the window is not finite, or empty.
    """
    if crop is None:
        return Window(0, 0, *size)
    if not all(math.isfinite(value) for value in crop) or crop.height <= 0 or crop.width <= 0:
        raise ValueError(f"crop must be finite and not empty, found {tuple(crop)}")
    return crop


def upsample(
    logits: Tensor, size: tuple[int, int], crop: Window | None = None, *, align_corners: bool = False
) -> Tensor:
    """Full-resolution logits, ``n c H W``: only for whoever really needs them all at once.

    Args:
        logits: coarse scores ``n c h w``.
        size: ``(H, W)`` of the image.
        crop: where the image lies in the enlarged map; the whole of it when None.
        align_corners: as in :func:`torch.nn.functional.interpolate`; with ``crop``, of the whole enlarged map.
    """
    window = full_window(size, crop)
    top, left, height, width = window
    inside = top >= 0 and left >= 0 and top + size[0] <= height and left + size[1] <= width
    if inside and all(float(value).is_integer() for value in window):
        full = F.interpolate(logits, (int(height), int(width)), mode="bilinear", align_corners=align_corners)
        return full[:, :, int(top) : int(top) + size[0], int(left) : int(left) + size[1]]
    rows = Axis.of(logits.shape[2], size[0], top, height, align_corners, logits)
    columns = Axis.of(logits.shape[3], size[1], left, width, align_corners, logits)
    return columns.apply(rows.apply(logits, 2), 3)


class Axis(NamedTuple):
    """Interpolation along one axis: pixel ``y`` is ``(1 - fraction) * place[low] + fraction * place[high]``.

    Attributes:
        coarse: number of places.
        low, high: int64 ``[size]``.
        fraction: ``[size]``, in the dtype of the logits.
        on_host: ``low`` and ``high`` once more, ``[2, size]``, for whoever needs their values.
    """

    coarse: int
    low: Tensor
    high: Tensor
    fraction: Tensor
    on_host: np.ndarray

    @classmethod
    def of(cls, coarse: int, size: int, start: float, full: float, align_corners: bool, like: Tensor) -> Axis:
        """The axis of ``size`` pixels from ``start`` in a map of ``coarse`` places enlarged to ``full`` pixels."""
        return _axis(coarse, size, start, full, align_corners, like.dtype, like.device)

    def part(self, pixels: slice) -> Axis:
        """Some of the pixels."""
        return Axis(self.coarse, self.low[pixels], self.high[pixels], self.fraction[pixels], self.on_host[:, pixels])

    def used(self) -> slice:
        """The places that the pixels read: a contiguous range."""
        return slice(int(self.on_host[0, 0]), int(self.on_host[1, -1]) + 1)

    def apply(self, values: Tensor, dim: int) -> Tensor:
        """Interpolate ``n c h w`` along ``dim``."""
        fraction = self.fraction.view([-1 if d == dim else 1 for d in range(values.ndim)])
        return values.index_select(dim, self.low) * (1 - fraction) + values.index_select(dim, self.high) * fraction

    def matrix(self, like: Tensor) -> Tensor:
        """The same as a matrix ``[pixels, coarse]`` with at most two non-zeros in a row."""
        matrix = torch.zeros(len(self.low), self.coarse, dtype=like.dtype, device=like.device)
        pixel = torch.arange(len(self.low), device=like.device)
        matrix[pixel, self.low] += 1 - self.fraction
        matrix[pixel, self.high] += self.fraction
        return matrix


@kept
def _axis(
    coarse: int, size: int, start: float, full: float, align_corners: bool, dtype: torch.dtype, device: torch.device
) -> Axis:
    place = torch.from_numpy(places(coarse, size, start, full, align_corners)).clamp(min=0)
    fraction = (place - place.floor()).to(dtype)  # behind the last place it mixes that place with itself
    low = place.floor().long().clamp(max=coarse - 1)
    high = (low + 1).clamp(max=coarse - 1)
    if full == coarse and float(start).is_integer():  # there PyTorch reads no neighbour, which might be infinite
        high = low
    both = torch.stack((low, high))
    on_device = to_device(both, device)
    return Axis(coarse, on_device[0], on_device[1], to_device(fraction, device), both.numpy())


def places(coarse: int, size: int, start: float, full: float, align_corners: bool) -> np.ndarray:
    """The coarse coordinate of each of ``size`` pixels, float64, not yet clamped to the map.

    Pixel ``y`` reads ``(y + start + 1/2) * coarse / full - 1/2`` (``(y + start) * (coarse - 1) / (full - 1)`` with
    ``align_corners``), exactly as ``F.interpolate`` does.
    """
    pixel = np.arange(size, dtype=np.float64) + start
    if align_corners:
        return pixel * ((coarse - 1) / (full - 1) if full > 1 else 0.0)
    return (pixel + 0.5) * (coarse / full) - 0.5
