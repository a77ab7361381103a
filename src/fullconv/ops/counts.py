"""Exact confusion counts."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion_counts(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Count pixels by (true class, predicted class).

    Args:
        prediction, target: label maps of one shape, any integer dtype.
        num_classes: ids run from 0 to ``num_classes - 1``.
        ignore_index: target pixels with this id are not counted.

    Returns:
        int64 ``[num_classes, num_classes]``; rows are the truth, columns the prediction.

    Raises:
        ValueError: shapes differ, or an id other than ``ignore_index`` lies outside the classes.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, found {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    valid = target != ignore_index
    truth = target[valid].long()
    guess = prediction[valid].long()
    for name, ids in (("target", truth), ("prediction", guess)):
        outside = (ids < 0) | (ids >= num_classes)
        if bool(outside.any()):
            raise ValueError(
                f"{name} holds id {int(ids[outside][0])} in {int(outside.sum())} pixels; "
                f"expected 0 to {num_classes - 1}" + (f" or {ignore_index}" if name == "target" else "")
            )
    counts = torch.bincount(truth * num_classes + guess, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)
