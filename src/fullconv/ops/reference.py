"""What every kernel computes, in the plainest PyTorch: enlarge everything, then take the loss. The tests' oracle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops.bilinear import upsample
from fullconv.ops.checks import check_labels, widened
from fullconv.ops.terms import SoftmaxSums, SoftmaxTerms


def softmax_sums(logits: Tensor, labels: Tensor, terms: SoftmaxTerms) -> SoftmaxSums:
    """Summed softmax loss of the enlarged logits and its divisor, as :class:`SoftmaxTerms` asks.

    Its gradient is left to autograd: ``loss`` carries the graph.

    Raises:
        ValueError: a label that is no class.
    """
    classes, labels = logits.shape[1], widened(labels)
    check_labels(labels, classes, terms.ignore_index)
    counted = labels != terms.ignore_index
    target = torch.where(counted, labels.long(), 0)
    size = (labels.shape[1], labels.shape[2])
    scores = upsample(to_sums_dtype(logits), size, terms.window, align_corners=terms.align_corners)
    scores = torch.where(counted[:, None], scores, 0)  # nan at an ignored pixel would reach the gradient as 0 * nan
    weight = scores.new_ones(classes) if terms.weight is None else terms.weight.to(scores)
    losses = F.cross_entropy(scores, target, weight, reduction="none", label_smoothing=terms.label_smoothing)
    if terms.gamma:
        miss = 1 - scores.softmax(1).gather(1, target[:, None])[:, 0]
        losses = miss.clamp(min=torch.finfo(miss.dtype).tiny) ** terms.gamma * losses
    losses = torch.where(counted, losses, 0)
    divisor = (weight[target] * counted).sum(dtype=torch.float64)
    return SoftmaxSums(losses.sum(dtype=torch.float64), divisor, None, losses if terms.pixel_losses else None)


def argmax(
    logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool, confidence: bool
) -> tuple[Tensor, Tensor | None]:
    """Labels ``n H W`` (uint8, or int32 above 256 classes) and, if wanted, the probability of each, float32."""
    scores = upsample(to_sums_dtype(logits), size, window, align_corners=align_corners)
    dtype = torch.uint8 if logits.shape[1] <= 256 else torch.int32
    sure = scores.softmax(1).amax(1).float() if confidence else None
    return scores.argmax(1).to(dtype), sure


def confusion(prediction: Tensor, target: Tensor, classes: int, ignore_index: int) -> tuple[Tensor, list[int]]:
    """int64 counts ``[classes, classes]``, rows the truth, and what lies outside: ``[targets outside, one of them,
    predictions outside, one of them]``.
    """
    counted = widened(target) != ignore_index
    truth, guess = target[counted].long(), prediction[counted].long()
    bad_truth = (truth < 0) | (truth >= classes)
    bad_guess = ((guess < 0) | (guess >= classes)) & ~bad_truth
    outside = []
    for bad, ids in ((bad_truth, truth), (bad_guess, guess)):
        number = int(bad.sum())
        outside += [number, int(ids[bad][-1]) if number else 0]
    good = ~(bad_truth | bad_guess)
    counts = torch.bincount(truth[good] * classes + guess[good], minlength=classes**2)
    return counts.reshape(classes, classes), outside


def to_sums_dtype(logits: Tensor) -> Tensor:
    """float64 as it is, everything else as float32."""
    return logits if logits.dtype == torch.float64 else logits.float()
