"""Exact confusion counts."""

from __future__ import annotations

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import checks
from fullconv.ops.backend import backend_for
from fullconv.ops.checks import widened
from fullconv.ops.labels import upsample_argmax


@torch.compiler.disable
def confusion_counts(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Count pixels by (true class, predicted class).

    Args:
        prediction, target: label maps of one shape, any integer dtype.
        num_classes: ids run from 0 to ``num_classes - 1``.
        ignore_index: target pixels with this id are not counted.

    Returns:
        int64 ``[num_classes, num_classes]``; rows are the truth, columns the prediction.

    Raises:
        ValueError: shapes or devices differ, or an id other than ``ignore_index`` lies outside the classes (it says
            which, and in how many pixels).
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, found {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    for name, ids in (("prediction", prediction), ("target", target)):
        if ids.is_floating_point() or ids.is_complex():
            raise ValueError(f"{name} must be integer labels, found {ids.dtype}; take argmax(1) of scores first")
    if prediction.device != target.device:
        raise ValueError(f"prediction is on {prediction.device}, target on {target.device}; move them to one device")
    counts, outside = backend_for(target).confusion(prediction, target, num_classes, ignore_index)
    for name, (number, example) in (("target", outside[:2]), ("prediction", outside[2:])):
        if number:
            raise ValueError(
                f"{name} holds id {example} and {number} pixels outside the classes in all; "
                f"expected 0 to {num_classes - 1}" + (f" or {ignore_index}" if name == "target" else "")
            )
    return counts


SPREAD = 4096
"""Counters that neighbouring pixels are spread over on a GPU, where additions to one of them wait for each other."""


@torch.no_grad()
def add_counts(counts: Tensor, prediction: Tensor, target: Tensor, ignore_index: int = 255) -> None:
    """Add the counts of label maps that are known to hold classes (and ``ignore_index``) alone.

    As :func:`confusion_counts`, but without its check, so that nothing is read from the device.

    Args:
        counts: int64 ``[classes, classes]``, changed in place.
        prediction, target: label maps of one shape on its device.
    """
    if not checks.waits(counts.device):
        counts += backend_for(target).confusion(prediction, target, len(counts), ignore_index)[0]
    else:
        _scatter_counts(counts, prediction, target, ignore_index)


def _scatter_counts(counts: Tensor, prediction: Tensor, target: Tensor, ignore_index: int) -> None:
    """In operations that no device waits for; every pixel adds 1 to its counter."""
    classes = len(counts)
    truth = widened(target).flatten()
    place = torch.where(truth == ignore_index, classes**2, truth * classes + prediction.flatten())
    copies = max(1, SPREAD // (classes**2 + 1))
    place = place + torch.arange(len(place), device=place.device) % copies * (classes**2 + 1)
    tables = counts.new_zeros(copies, classes**2 + 1)
    tables.view(-1).scatter_add_(0, place, tables.new_ones(1).expand(len(place)))
    counts += tables[:, :-1].sum(0).view(classes, classes)


def evaluate_counts(
    logits: Tensor,
    labels: Tensor,
    *,
    ignore_index: int = 255,
    align_corners: bool = False,
    crop: Window | None = None,
) -> Tensor:
    """Confusion counts of the labels that coarse ``logits n c h w`` give, against ``labels n H W``.

    The same as ``confusion_counts(upsample_argmax(logits, ...), labels, ...)``; see those two.
    """
    size = (labels.shape[-2], labels.shape[-1])
    prediction = upsample_argmax(logits, size, crop=crop, align_corners=align_corners)
    return confusion_counts(prediction, labels, logits.shape[1], ignore_index)
