"""Cross-entropy at full resolution from coarse logits, strip by strip, with its own backward pass.

For each strip of output rows the coarse logits are interpolated (two small matrix products), the loss and its
gradient are taken in one pass, and the gradient goes back through the transposed products. What stays in memory
is one strip and the coarse gradient, never ``classes x H x W``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fullconv.geometry import Window
from fullconv.ops.bilinear import axis_matrix, full_window, row_strips

STRIP_BYTES = 8 << 20


def upsample_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    ignore_index: int = 255,
    weight: Tensor | None = None,
    crop: Window | None = None,
    align_corners: bool = False,
) -> Tensor:
    """Mean cross-entropy of the bilinearly enlarged logits, equal to interpolate-then-``F.cross_entropy``.

    Args:
        logits: coarse scores ``n c h w``, floating point; sums run in float32 (float64 for float64).
        labels: ids ``n H W``, any integer dtype.
        ignore_index: pixels with this id count for nothing.
        weight: one factor per class (``c``); the mean is then weighted, as in PyTorch.
        crop: where the labels lie in the enlarged map; the whole of it when None.
        align_corners: as in :func:`torch.nn.functional.interpolate`.

    Returns:
        A scalar. 0 with a zero gradient when every pixel is ignored (PyTorch gives nan there).

    Raises:
        ValueError: shapes that do not fit, or a label outside the classes.
    """
    if logits.ndim != 4 or labels.ndim != 3 or logits.shape[0] != labels.shape[0]:
        raise ValueError(
            f"expected logits n c h w and labels n H W, found {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    if weight is not None and weight.shape != (logits.shape[1],):
        raise ValueError(f"expected {logits.shape[1]} class weights, found shape {tuple(weight.shape)}")
    window = full_window((labels.shape[1], labels.shape[2]), crop)
    loss: Tensor = _UpsampleCrossEntropy.apply(logits, labels, ignore_index, weight, window, align_corners)
    return loss


class _UpsampleCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        ignore_index: int,
        weight: Tensor | None,
        window: Window,
        align_corners: bool,
    ) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            loss, gradient = _strips(logits.detach(), labels, ignore_index, weight, window, align_corners)
        ctx.save_for_backward(gradient.to(logits.dtype))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None, None, None, None


def _strips(
    logits: Tensor, labels: Tensor, ignore_index: int, weight: Tensor | None, window: Window, align: bool
) -> tuple[Tensor, Tensor]:
    """The loss and its gradient with respect to ``logits``, both in the dtype of the sums."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    exact = exact.contiguous()
    size = (labels.shape[1], labels.shape[2])
    top, left, height, width = window
    rows = axis_matrix(exact.shape[2], size[0], top, height, align, exact)
    columns = axis_matrix(exact.shape[3], size[1], left, width, align, exact)
    weights = exact.new_ones(exact.shape[1]) if weight is None else weight.to(exact)
    valid = labels != ignore_index
    known = torch.where(valid, labels, 0).long()
    if bool((known < 0).any()) or bool((known >= exact.shape[1]).any()):
        worst = known.max() if bool((known >= exact.shape[1]).any()) else known.min()
        raise ValueError(f"labels hold id {int(worst)}; expected 0 to {exact.shape[1] - 1} or {ignore_index} (ignored)")
    factor = weights[known] * valid
    wide = torch.float32 if exact.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    total = factor.sum(dtype=wide)
    divisor = torch.where(total > 0, total, torch.ones_like(total)).to(exact.dtype)
    loss = exact.new_zeros((), dtype=wide)
    gradient = torch.zeros_like(exact)
    for strip in row_strips(exact, size, STRIP_BYTES):
        used = _used_places(rows[strip])
        vertical = rows[strip, used]
        scores = vertical @ exact[:, :, used] @ columns.T
        target = known[:, None, strip]
        log_norm = scores.logsumexp(1, keepdim=True)
        picked = scores.gather(1, target)
        share = factor[:, None, strip] / divisor
        # an ignored pixel adds nothing, whatever its score
        loss += torch.where(share > 0, (log_norm - picked) * share, 0).sum(dtype=wide)
        slope = (scores - log_norm).exp_().mul_(share)
        slope.scatter_add_(1, target, -share)
        gradient[:, :, used] += vertical.T @ (slope @ columns)
    return loss.to(exact.dtype), gradient


def _used_places(rows: Tensor) -> slice:
    """The coarse rows that a strip reads: a contiguous range, since interpolation is local."""
    columns = rows.ne(0).any(0).nonzero()
    return slice(int(columns[0]), int(columns[-1]) + 1)
