"""Label maps, and how sure they are, from coarse logits: nothing of size ``classes x H x W`` ever exists."""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import strips
from fullconv.ops.backend import backend_for, backend_name
from fullconv.ops.bilinear import full_window


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
    if logits.shape[1] == 1:
        return torch.zeros(logits.shape[0], *size, device=logits.device)
    window, exact = full_window(size, crop), logits.detach()
    with torch.autocast(logits.device.type, enabled=False):
        if backend_name(logits) == "cpu":
            from fullconv.ops.cpu import run

            return run.entropy(exact, (size[0], size[1]), window).clamp_(0, 1)
        return strips.entropy(exact, (size[0], size[1]), window).clamp_(0, 1)


def _check(logits: Tensor, size: tuple[int, int]) -> None:
    if logits.ndim != 4 or 0 in logits.shape or not logits.is_floating_point():
        raise ValueError(f"expected floating-point logits n c h w, found {logits.dtype} {tuple(logits.shape)}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width) of at least 1x1, found {tuple(size)}")
