"""The reference, strip by strip, in PyTorch: for devices and dtypes that have no kernel of their own.

For each strip of output rows the coarse logits are interpolated, the loss and its gradient are taken in one pass,
and the gradient goes back through the transposed interpolation, two small matrix products. What stays in memory
is one strip and the coarse gradient, never ``classes x H x W``. On a GPU a gradient of nan reaches every place of its
rows and columns (looking for it would wait for the device), else only the places that the pixel reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import checks
from fullconv.ops.bilinear import Axis
from fullconv.ops.checks import check_labels, widened
from fullconv.ops.reference import confusion, to_sums_dtype
from fullconv.ops.terms import SoftmaxSums, SoftmaxTerms

STRIP_BYTES = 8 << 20

__all__ = ["argmax", "confusion", "enlarged_strips", "entropy", "softmax_sums"]


class Strip:
    """Some output rows of the enlarged logits.

    Attributes:
        rows: which.
        scores: ``n c rows W``.
    """

    def __init__(self, logits: Tensor, rows: slice, vertical: Axis, horizontal: Axis) -> None:
        self.rows, self._vertical, self._horizontal = rows, vertical.part(rows), horizontal
        self.scores = horizontal.apply(self._vertical.apply(logits, 2), 3)

    def add_gradient(self, slope: Tensor, gradient: Tensor) -> None:
        """Bring ``slope n c rows W``, with respect to the scores, back to the coarse logits."""
        if not checks.waits(slope.device) and not bool(slope.sum().isfinite()):
            return self._add_place_by_place(slope, gradient)
        used = self._vertical.used()
        vertical = self._vertical.matrix(gradient)[:, used]
        gradient[:, :, used] += vertical.T @ (slope @ self._horizontal.matrix(gradient))

    def _add_place_by_place(self, slope: Tensor, gradient: Tensor) -> None:
        """The same, slowly: the products would spread nan over whole rows and columns, as 0 * nan."""
        across = slope.new_zeros(*slope.shape[:3], gradient.shape[3])
        for axis, dim, source, target in (
            (self._horizontal, 3, slope, across),
            (self._vertical, 2, across, gradient),
        ):
            for place, share in ((axis.low, 1 - axis.fraction), (axis.high, axis.fraction)):
                target.index_add_(dim, place, source * share.view(-1, *[1] * (3 - dim)))


def enlarged_strips(logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool) -> Iterator[Strip]:
    """The enlarged logits in strips of at most ``STRIP_BYTES`` for three arrays of their size."""
    top, left, height, width = window
    vertical = Axis.of(logits.shape[2], size[0], top, height, align_corners, logits)
    horizontal = Axis.of(logits.shape[3], size[1], left, width, align_corners, logits)
    rows = max(1, STRIP_BYTES // max(12 * logits.shape[0] * logits.shape[1] * size[1], 1))
    for first in range(0, size[0], rows):
        yield Strip(logits, slice(first, min(first + rows, size[0])), vertical, horizontal)


def softmax_sums(logits: Tensor, labels: Tensor, terms: SoftmaxTerms) -> SoftmaxSums:
    """As :func:`fullconv.ops.reference.softmax_sums`."""
    classes, labels = logits.shape[1], widened(labels)
    check_labels(labels, classes, terms.ignore_index)
    exact = to_sums_dtype(logits.detach()).contiguous()
    weight = exact.new_ones(classes) if terms.weight is None else terms.weight.to(exact)
    counted = labels != terms.ignore_index
    known = torch.where(counted, labels.long(), 0)
    hard = (1 - terms.label_smoothing) * weight[known] * counted
    smooth = terms.label_smoothing / classes
    soft = hard + smooth * weight.sum() * counted
    wide = torch.float32 if exact.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    total = exact.new_zeros((), dtype=wide)
    gradient = torch.zeros_like(exact) if terms.gradient else None
    maps = exact.new_zeros(labels.shape) if terms.pixel_losses else None
    for strip in enlarged_strips(exact, (labels.shape[1], labels.shape[2]), terms.window, terms.align_corners):
        scores, target = strip.scores, known[:, None, strip.rows]
        hard_here, soft_here = hard[:, None, strip.rows], soft[:, None, strip.rows]
        log_norm = scores.logsumexp(1, keepdim=True)
        log_norm = log_norm + (log_norm - log_norm)  # an infinite one is nan for every class, as in PyTorch
        picked = scores.gather(1, target)
        mean = torch.einsum("c,nchw->nhw", weight, scores)[:, None] if smooth else torch.zeros_like(picked)
        losses = soft_here * log_norm - hard_here * picked - smooth * mean
        factor = torch.ones_like(losses)
        if terms.gamma:
            log_p = picked - log_norm
            miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
            power = miss**terms.gamma
            factor = power - terms.gamma * log_p.exp() * miss ** (terms.gamma - 1) * log_p
            losses = losses * power
        # an ignored pixel adds nothing, whatever its score
        here = counted[:, None, strip.rows]
        losses = torch.where(here, losses, 0)
        total += losses.sum(dtype=wide)
        if maps is not None:
            maps[:, strip.rows] = losses[:, 0]
        if gradient is not None:
            slope = (scores - log_norm).exp_().mul_(soft_here * factor)
            slope.scatter_add_(1, target, -hard_here * factor)
            if smooth:
                slope -= smooth * weight[:, None, None] * here
            strip.add_gradient(torch.where(here, slope, 0), gradient)
    return SoftmaxSums(total, (weight[known] * counted).sum(dtype=wide), gradient, maps)


def argmax(
    logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool, confidence: bool
) -> tuple[Tensor, Tensor | None]:
    """As :func:`fullconv.ops.reference.argmax`."""
    exact = to_sums_dtype(logits)
    dtype = torch.uint8 if logits.shape[1] <= 256 else torch.int32
    labels = torch.empty(logits.shape[0], *size, dtype=dtype, device=logits.device)
    sure = torch.empty(labels.shape, device=logits.device) if confidence else None
    for strip in enlarged_strips(exact, size, window, align_corners):
        labels[:, strip.rows] = strip.scores.argmax(1).to(dtype)
        if sure is not None:
            sure[:, strip.rows] = strip.scores.softmax(1).amax(1).float()
    return labels, sure


def entropy(logits: Tensor, size: tuple[int, int], window: Window) -> Tensor:
    """Of the softmax of the enlarged logits, over that of equally probable classes: float32 ``n H W``."""
    result = torch.empty(logits.shape[0], *size, device=logits.device)
    for strip in enlarged_strips(to_sums_dtype(logits), size, window, False):
        result[:, strip.rows] = torch.special.entr(strip.scores.softmax(1)).sum(1) / math.log(logits.shape[1])
    return result
