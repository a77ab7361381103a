"""Whether masks lie a pixel or two beside their images: label maps compared with masks that are moved."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

REACH = 2
"""Masks are moved by so many pixels at most, up, down and sideways."""
SHIFTS = [(down, right) for down in range(-REACH, REACH + 1) for right in range(-REACH, REACH + 1)]
STILL = SHIFTS.index((0, 0))
GAINED = 0.02
"""So much of the errors at least has to go."""
AGREE = 0.75
"""And of the images where their number changes so many have to have fewer."""
IMAGES = 5
"""Of fewer such images nothing is concluded."""


class Shift(NamedTuple):
    """Moving the masks so makes them fit the label maps better.

    Attributes:
        down, right: pixels.
        gained: the share of the errors that goes.
        agree: of the images where that changes anything, the share that has fewer errors then.
    """

    down: int
    right: int
    gained: float
    agree: float

    def __str__(self) -> str:
        moves = ((self.down, "down", "up"), (self.right, "to the right", "to the left"))
        said = [f"{abs(by)} pixel{'s' * (abs(by) > 1)} {plus if by > 0 else minus}" for by, plus, minus in moves if by]
        return " and ".join(said)


def shift_errors(labels: Tensor, truth: Tensor, ignore_index: int) -> Tensor:
    """Wrong pixels of every image, its mask moved by each of :data:`SHIFTS`.

    Pixels nearer to the border than :data:`REACH` are left out, so that the same pixels of the mask count every time.

    Args:
        labels, truth: ids ``[n, height, width]``.

    Returns:
        int64 ``[n, shifts]``; all 0 where an image is smaller than the frame that is left out.
    """
    height, width = truth.shape[1:]
    inner = truth[:, REACH : height - REACH, REACH : width - REACH]
    wrong = torch.zeros(len(truth), len(SHIFTS), dtype=torch.int64, device=truth.device)
    if not inner.numel():
        return wrong
    known = inner != ignore_index
    for column, (down, right) in enumerate(SHIFTS):
        moved = labels[:, REACH + down : height - REACH + down, REACH + right : width - REACH + right]
        wrong[:, column] = ((moved != inner) & known).flatten(1).sum(1)
    return wrong


def best_shift(wrong: Tensor) -> Shift | None:
    """What the errors of images ``[n, shifts]`` say; None where the masks lie as well as they can.

    A network errs by fractions of a pixel: that is no shift, for of all whole steps none fits better then.
    """
    total = wrong.sum(0)
    best = int(total.argmin())
    still = int(total[STILL])
    differ = wrong[:, best] != wrong[:, STILL]
    if int(differ.sum()) < IMAGES:
        return None
    gained, agree = 1 - int(total[best]) / still, float((wrong[:, best] < wrong[:, STILL])[differ].float().mean())
    return Shift(*SHIFTS[best], gained, agree) if gained >= GAINED and agree >= AGREE else None
