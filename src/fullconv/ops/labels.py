"""Label maps, and how sure they are, from coarse logits: nothing of size ``classes x H x W`` ever exists."""

from __future__ import annotations

import math
from typing import Literal, overload

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops.backend import backend_for
from fullconv.ops.bilinear import full_window
from fullconv.ops.reference import to_sums_dtype
from fullconv.ops.strips import enlarged_strips


@overload
def upsample_argmax(
    logits: Tensor,
    size: tuple[int, int],
    *,
    crop: Window | None = None,
    align_corners: bool = False,
    confidence: Literal[False] = False,
) -> Tensor: ...
@overload
def upsample_argmax(
    logits: Tensor,
    size: tuple[int, int],
    *,
    crop: Window | None = None,
    align_corners: bool = False,
    confidence: Literal[True],
) -> tuple[Tensor, Tensor]: ...
@torch.compiler.disable
@torch.no_grad()
def upsample_argmax(
    logits: Tensor,
    size: tuple[int, int],
    *,
    crop: Window | None = None,
    align_corners: bool = False,
    confidence: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The class with the highest bilinearly enlarged score at every pixel.

    Args:
        logits: coarse scores ``n c h w``, floating point.
        size: ``(H, W)`` of the image.
        crop: where the image lies in the enlarged map; the whole of it when None.
        align_corners: as in :func:`torch.nn.functional.interpolate`.
        confidence: also give the softmax probability of that class.

    Returns:
        Labels ``n H W``: uint8, or int32 for more than 256 classes. Ties go to the lower id. Equal to
        ``F.interpolate(...).argmax(1)`` wherever the two best scores differ by more than float32 rounding.
        With ``confidence`` a pair, the second float32 ``n H W``.

    Raises:
        ValueError: logits that are not ``n c h w``, or a size that is not positive.
    """
    _check(logits, size)
    window = full_window(size, crop)
    with torch.autocast(logits.device.type, enabled=False):
        labels, sure = backend_for(logits).argmax(
            logits.detach(), (size[0], size[1]), window, align_corners, confidence
        )
    return labels if sure is None else (labels, sure)


@torch.compiler.disable
@torch.no_grad()
def upsample_entropy(logits: Tensor, size: tuple[int, int], *, crop: Window | None = None) -> Tensor:
    """How undecided the softmax of the bilinearly enlarged scores is at every pixel, a few rows at a time.

    Args:
        logits, size, crop: as for :func:`upsample_argmax`.

    Returns:
        Shannon's entropy over that of equally probable classes, 0 (sure) to 1: float32 ``n H W``; 0 for one class.

    Raises:
        ValueError: as :func:`upsample_argmax`.
    """
    _check(logits, size)
    result = torch.zeros(logits.shape[0], *size, device=logits.device)
    if logits.shape[1] == 1:
        return result
    with torch.autocast(logits.device.type, enabled=False):
        for strip in enlarged_strips(to_sums_dtype(logits.detach()), size, full_window(size, crop), False):
            entropy = torch.special.entr(strip.scores.softmax(1)).sum(1)
            result[:, strip.rows] = (entropy / math.log(logits.shape[1])).clamp(0, 1).float()
    return result


def _check(logits: Tensor, size: tuple[int, int]) -> None:
    if logits.ndim != 4 or 0 in logits.shape or not logits.is_floating_point():
        raise ValueError(f"expected floating-point logits n c h w, found {logits.dtype} {tuple(logits.shape)}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width) of at least 1x1, found {tuple(size)}")
