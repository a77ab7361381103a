"""Dice and Jaccard losses at full resolution from coarse logits, strip by strip.

Both are functions of three sums per class over all pixels, so one pass takes the sums and a second one the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops.backend import backend_name
from fullconv.ops.checks import check_labels, widened
from fullconv.ops.loss import checked
from fullconv.ops.once import only_once
from fullconv.ops.reference import to_sums_dtype
from fullconv.ops.strips import enlarged_strips


@torch.compiler.disable
def upsample_dice(
    logits: Tensor,
    labels: Tensor,
    *,
    jaccard: bool = False,
    smooth: float = 1.0,
    ignore_index: int = 255,
    align_corners: bool = False,
    crop: Window | None = None,
) -> Tensor:
    """One minus the soft Dice (or Jaccard) coefficient, averaged over the classes that occur in the labels.

    With ``p`` the probabilities, ``t`` the one-hot truth and sums over the batch's pixels that count, class by class:
    Dice is ``(2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``, Jaccard
    ``(sum(p t) + smooth) / (sum(p) + sum(t) - sum(p t) + smooth)``.

    Args:
        logits, labels, ignore_index, align_corners, crop: as for :func:`fullconv.ops.loss.upsample_cross_entropy`.
        jaccard: Jaccard instead of Dice.
        smooth: added above and below, in pixels.

    Returns:
        A scalar, float32 (float64 for float64); 0 with a zero gradient when every pixel is ignored.

    Raises:
        ValueError: as :func:`fullconv.ops.loss.upsample_cross_entropy`.

    Source: Milletari et al., "V-Net", arXiv:1606.04797, with the denominator not squared; Rahman & Wang, "Optimizing
    Intersection-Over-Union in Deep Neural Networks for Image Segmentation" (2016).
    """
    window = checked(logits, labels, None, crop)
    if smooth < 0:
        raise ValueError(f"smooth must be 0 or more, found {smooth}")
    labels = widened(labels)
    check_labels(labels, logits.shape[1], ignore_index)
    loss: Tensor = _Overlap.apply(logits, labels, ignore_index, window, align_corners, jaccard, smooth)
    return loss


class _Overlap(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, ignore: int, window: Window, align: bool, jaccard: bool, smooth: float
    ) -> Tensor:
        exact = to_sums_dtype(logits.detach()).contiguous()
        ctx.save_for_backward(exact, logits, labels)
        ctx.dtype, ctx.geometry, ctx.ignore = logits.dtype, (window, align), ignore
        with torch.autocast(logits.device.type, enabled=False), torch.enable_grad():
            sums = _sums(exact, labels, ignore, window, align).requires_grad_()
            loss = _coefficient_loss(sums, jaccard, smooth)
            (ctx.slopes,) = torch.autograd.grad(loss, sums)
        return loss.detach().to(exact.dtype)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        exact, _, labels = ctx.saved_tensors
        exact = exact.detach()
        with torch.autocast(exact.device.type, enabled=False):
            window, align = ctx.geometry
            gradient = _gradient(exact, labels, ctx.ignore, window, align, ctx.slopes)
        return only_once((gradient * outer.detach()).to(ctx.dtype), ctx), *[None] * 6


def _sums(exact: Tensor, labels: Tensor, ignore: int, window: Window, align: bool) -> Tensor:
    """``sum(p t)``, ``sum(p)`` and ``sum(t)`` of each class, ``[3, c]``."""
    if backend_name(exact) == "cpu":
        from fullconv.ops.cpu.run import overlap_sums  # numba takes a second

        found = overlap_sums(exact, labels, ignore, window, align)
        if found is not None:
            return found
    wide = torch.float32 if exact.device.type == "mps" else torch.float64
    sums = exact.new_zeros(3, exact.shape[1], dtype=wide)
    for strip in enlarged_strips(exact, (labels.shape[1], labels.shape[2]), window, align):
        share, truth = _probabilities(strip.scores, labels[:, strip.rows], ignore)
        for index, values in enumerate((share * truth, share, truth)):
            sums[index] += values.sum((0, 2, 3), dtype=wide)
    return sums


def _gradient(exact: Tensor, labels: Tensor, ignore: int, window: Window, align: bool, slopes: Tensor) -> Tensor:
    """Of the coarse logits, from the slopes with respect to :func:`_sums`."""
    if backend_name(exact) == "cpu":
        from fullconv.ops.cpu.run import overlap_gradient

        found = overlap_gradient(exact, labels, ignore, window, align, slopes)
        if found is not None:
            return found
    gradient = torch.zeros_like(exact)
    both, guessed = slopes[0].to(exact), slopes[1].to(exact)
    for strip in enlarged_strips(exact, (labels.shape[1], labels.shape[2]), window, align):
        share, truth = _probabilities(strip.scores, labels[:, strip.rows], ignore)
        # the slope with respect to each probability, then through the softmax
        slope = guessed[:, None, None] + both[:, None, None] * truth
        slope = share * (slope - (share * slope).sum(1, keepdim=True))
        strip.add_gradient(slope, gradient)
    return gradient


def _probabilities(scores: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Softmax and one-hot truth ``n c rows W``, both 0 where ignored."""
    counted = (labels != ignore)[:, None]
    known = torch.where(counted, labels[:, None].long(), 0)
    truth = torch.zeros_like(scores).scatter_(1, known, counted.to(scores))
    return torch.where(counted, scores.softmax(1), 0), truth


def _coefficient_loss(sums: Tensor, jaccard: bool, smooth: float) -> Tensor:
    both, guessed, true = sums
    present = true > 0
    shared, total = (both, guessed + true - both) if jaccard else (2 * both, guessed + true)
    coefficient = (shared + smooth) / torch.where(present, total + smooth, 1)
    return torch.where(present, 1 - coefficient, 0).sum() / present.sum().clamp(min=1)
