"""How much of each class is too thin for a network's grid: counted exactly, on label maps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def thin_counts(labels: Tensor, side: int, classes: int) -> Tensor:
    """Pixels of each class that lie in no square of ``side`` x ``side`` pixels which is all of that class.

    They are what a morphological opening by that square removes: a strip narrower than ``side``, whatever its length,
    and all of an object that is narrower. What an image's border cuts counts as narrow as it is seen.

    Args:
        labels: ids ``[n, height, width]``; ids from ``classes`` on are void.
        side: the square's, in pixels.

    Returns:
        int64 ``[classes]``, on the CPU.
    """
    if min(labels.shape[1:]) < side:
        inside = torch.zeros(labels.shape, dtype=torch.bool, device=labels.device)
    else:
        whole = _windows(labels, side, torch.maximum) == _windows(labels, side, torch.minimum)
        padded = torch.nn.functional.pad(whole, (side - 1,) * 4)
        inside = _windows(padded, side, torch.logical_or)
    outside = labels[~inside].long()
    return torch.bincount(outside[outside < classes], minlength=classes).cpu()


def _windows(values: Tensor, side: int, reduce: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``reduce`` over every window of ``side`` x ``side``: ``[n, height - side + 1, width - side + 1]``.

    Windows double in length at each step, so the work grows with the logarithm of ``side``.
    """
    for dim in (1, 2):
        length = 1
        while length < side:
            step = min(length, side - length)
            kept = values.shape[dim] - step
            values = reduce(values.narrow(dim, 0, kept), values.narrow(dim, step, kept))
            length += step
    return values
