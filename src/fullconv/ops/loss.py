"""Losses at full resolution from coarse logits, without full-resolution logits.

All are exact: the coarse logits are enlarged bilinearly a strip at a time, loss and gradient are taken in one pass
over the strip, and the gradient goes back through the transposed interpolation (docs/ops.md derives it). The gradient
is ready when the forward pass ends; what is kept for the backward pass has the size of the coarse logits.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import reference
from fullconv.ops.backend import backend_for
from fullconv.ops.bilinear import full_window
from fullconv.ops.checks import check_weights, widened
from fullconv.ops.once import only_once
from fullconv.ops.terms import SoftmaxTerms

Reduction = Literal["mean", "sum"]


def upsample_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    ignore_index: int = 255,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    align_corners: bool = False,
    crop: Window | None = None,
) -> Tensor:
    """Cross-entropy of the bilinearly enlarged logits, equal to ``F.interpolate`` and ``F.cross_entropy``.

    Args:
        logits: coarse scores ``n c h w``, floating point; sums run in float32 (float64 for float64).
        labels: ids ``n H W``, uint8 or another integer dtype, ``H >= h`` and ``W >= w`` (with ``crop``: any size).
        ignore_index: pixels with this id count for nothing.
        weight: one factor per class ``[c]``; the mean is then weighted, as in PyTorch. It is a setting: one that wants
            a gradient is refused, because the kernels take none of it.
        label_smoothing: share of the target that is spread evenly over the classes, 0 to 1.
        reduction: ``mean`` over the pixels that count, or ``sum``.
        align_corners: as in :func:`torch.nn.functional.interpolate`.
        crop: where the labels lie in the enlarged map; the whole of it when None.

    Returns:
        A scalar, float32 (float64 for float64). 0 with a zero gradient when every pixel is ignored (PyTorch gives
        nan there). nan and infinite logits propagate as in PyTorch.

    Raises:
        ValueError: shapes that do not fit, or a label outside the classes.
    """
    return _softmax_loss(logits, labels, ignore_index, weight, label_smoothing, 0.0, reduction, align_corners, crop)


def upsample_focal(
    logits: Tensor,
    labels: Tensor,
    *,
    gamma: float = 2.0,
    ignore_index: int = 255,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    align_corners: bool = False,
    crop: Window | None = None,
) -> Tensor:
    """Softmax focal loss, ``-(1 - p)**gamma * log(p)`` with ``p`` the probability of the true class.

    Arguments, result and errors as :func:`upsample_cross_entropy`, which it equals for ``gamma=0``; ``weight`` is
    the paper's alpha.

    Source: Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, equation 5, with softmax.
    """
    if not (gamma >= 0 and math.isfinite(gamma)):
        raise ValueError(f"gamma must be 0 or more, found {gamma}")
    return _softmax_loss(logits, labels, ignore_index, weight, 0.0, gamma, reduction, align_corners, crop)


@torch.compiler.disable
def upsample_ohem(
    logits: Tensor,
    labels: Tensor,
    *,
    keep: float = 0.25,
    ignore_index: int = 255,
    weight: Tensor | None = None,
    align_corners: bool = False,
    crop: Window | None = None,
) -> Tensor:
    """Mean cross-entropy of the hardest pixels of the batch (online hard example mining, bootstrapped loss).

    Args:
        keep: the share of the pixels that count, those with the highest loss; at least one pixel. Of equal losses
            those that come first in the batch are kept.

    Other arguments, result and errors as :func:`upsample_cross_entropy`. Exact: one pass for the loss of every pixel
    (``n H W`` numbers), one for the gradient of those kept.

    Source: Shrivastava et al., arXiv:1604.03540; Wu et al., "Bridging Category-level and Instance-level Semantic
    Image Segmentation", arXiv:1605.06885, section 3.2 (top-k).
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep must lie between 0 and 1, found {keep}")
    window = checked(logits, labels, weight, crop)
    losses = _pixel_losses(logits, labels, SoftmaxTerms(
        window, align_corners, ignore_index, weight, 0.0, 0.0, gradient=False, pixel_losses=True
    ))  # fmt: skip
    labels = widened(labels)
    counted = (labels != ignore_index).flatten()
    order = torch.where(counted, losses.flatten(), -1).sort(descending=True, stable=True).indices
    kept = torch.zeros_like(counted)
    wide = torch.float32 if counted.device.type == "mps" else torch.float64
    number = (keep * counted.sum(dtype=wide) - 1e-6).ceil().clamp(min=1)  # stays on its device
    kept[order] = torch.arange(len(order), device=order.device) < number
    hardest = torch.where((kept & counted).view(labels.shape), labels, ignore_index)
    return upsample_cross_entropy(
        logits, hardest, ignore_index=ignore_index, weight=weight, align_corners=align_corners, crop=crop
    )


@torch.no_grad()
def pixel_cross_entropy(
    logits: Tensor, labels: Tensor, *, ignore_index: int = 255, align_corners: bool = False, crop: Window | None = None
) -> Tensor:
    """The cross-entropy of every pixel, ``-log`` of the probability of its label: ``n H W``, 0 where ignored.

    Arguments and errors as :func:`upsample_cross_entropy`; it has no gradient.
    """
    window = checked(logits, labels, None, crop)
    terms = SoftmaxTerms(window, align_corners, ignore_index, None, 0.0, 0.0, gradient=False, pixel_losses=True)
    with torch.autocast(logits.device.type, enabled=False):
        return _pixel_losses(logits, labels, terms)


def _pixel_losses(logits: Tensor, labels: Tensor, terms: SoftmaxTerms) -> Tensor:
    losses = backend_for(logits).softmax_sums(logits.detach(), labels, terms).pixel_losses
    assert losses is not None  # they were asked for
    return losses


def label_weight(labels: Tensor, ignore_index: int = 255, weight: Tensor | None = None) -> Tensor:
    """What the mean loss divides by: the summed class weights of the labels, a scalar.

    With several processes, ``loss.sum / mean of label_weight over processes`` is the exact global mean.
    """
    labels = widened(labels)
    counted = labels != ignore_index
    if weight is None:
        return counted.sum().float()
    return (weight[torch.where(counted, labels.long(), 0)] * counted).sum()


def _softmax_loss(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int,
    weight: Tensor | None,
    label_smoothing: float,
    gamma: float,
    reduction: str,
    align_corners: bool,
    crop: Window | None,
) -> Tensor:
    window = checked(logits, labels, weight, crop)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie between 0 and 1, found {label_smoothing}")
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be mean or sum, found {reduction!r}")
    gradient = torch.is_grad_enabled() and logits.requires_grad
    if backend_for(logits) is reference:  # its gradient is autograd's
        terms = SoftmaxTerms(window, align_corners, ignore_index, weight, label_smoothing, gamma, gradient, False)
        with torch.autocast(logits.device.type, enabled=False):
            sums = reference.softmax_sums(logits, labels, terms)
        loss, divisor = (value.to(_sums_dtype(logits)) for value in (sums.loss, sums.weight))
    else:
        loss, divisor, _ = softmax_sums(
            logits, labels, weight, list(window), align_corners, ignore_index, label_smoothing, gamma, gradient
        )
    if reduction == "sum":
        return loss
    divisor = divisor.detach()  # a count: autograd need not ask for its gradient
    return loss / torch.where(divisor > 0, divisor, 1)


def checked(logits: Tensor, labels: Tensor, weight: Tensor | None, crop: Window | None) -> Window:
    """The window; every shape fits.

    Raises:
        ValueError: one does not.
    """
    if logits.ndim != 4 or labels.ndim != 3 or logits.shape[0] != labels.shape[0]:
        raise ValueError(
            f"expected logits n c h w and labels n H W, found {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    if not logits.is_floating_point() or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"expected floating-point logits and integer labels, found {logits.dtype} and {labels.dtype}")
    if logits.device != labels.device:
        raise ValueError(f"logits are on {logits.device}, labels on {labels.device}; move them to one device")
    if 0 in logits.shape or 0 in labels.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must not be empty")
    if crop is None and (labels.shape[1] < logits.shape[2] or labels.shape[2] < logits.shape[3]):
        raise ValueError(
            f"labels of {labels.shape[1]}x{labels.shape[2]} are smaller than the logits of "
            f"{logits.shape[2]}x{logits.shape[3]}; this enlarges only"
        )
    if weight is not None and weight.shape != (logits.shape[1],):
        raise ValueError(f"expected {logits.shape[1]} class weights, found shape {tuple(weight.shape)}")
    if weight is not None and weight.requires_grad and torch.is_grad_enabled():
        raise ValueError("class weights get no gradient here; pass weight.detach()")
    if weight is not None:
        check_weights(weight)
    return full_window((labels.shape[1], labels.shape[2]), crop)


@torch.library.custom_op("fullconv::softmax_sums", mutates_args=())
def softmax_sums(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    window: list[float],
    align_corners: bool,
    ignore_index: int,
    label_smoothing: float,
    gamma: float,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Summed loss, its divisor, and the gradient of the sum (empty if not wanted): one opaque operation, so that
    ``torch.compile`` takes it as it is."""
    terms = SoftmaxTerms(
        Window(*window), align_corners, ignore_index, weight, label_smoothing, gamma, gradient, pixel_losses=False
    )
    with torch.autocast(logits.device.type, enabled=False):
        sums = backend_for(logits).softmax_sums(logits.detach(), labels, terms)
    dtype = _sums_dtype(logits)
    slope = logits.new_empty(0, dtype=dtype) if sums.gradient is None else sums.gradient.to(dtype)
    return sums.loss.to(dtype), sums.weight.to(dtype), slope


@softmax_sums.register_fake
def _(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    window: list[float],
    align_corners: bool,
    ignore_index: int,
    label_smoothing: float,
    gamma: float,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    scalar = logits.new_empty((), dtype=_sums_dtype(logits))
    slope = torch.empty(logits.shape if gradient else (0,), dtype=_sums_dtype(logits), device=logits.device)
    return scalar, torch.empty_like(scalar), slope


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[2], inputs[0])
    ctx.dtype = inputs[0].dtype


def _backward(ctx: Any, outer: Tensor, *_: Tensor) -> tuple[Any, ...]:
    gradient = ctx.saved_tensors[0].detach()
    if gradient.device.type != "cpu" or gradient.dtype == ctx.dtype:
        return (only_once((gradient * outer.detach()).to(ctx.dtype), ctx), *[None] * 8)
    slope = torch.empty(gradient.shape, dtype=ctx.dtype)  # image by image: no second float32 copy of full-size logits
    for image, part in zip(gradient, slope, strict=True):
        part.copy_(image * outer.detach())
    return (only_once(slope, ctx), *[None] * 8)


softmax_sums.register_autograd(_backward, setup_context=_setup_context)


def _sums_dtype(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32
