"""The backward pass at large strides: pixels between the same four coarse places, summed piece by piece.

Both axes are cut into pieces of at most ``LONGEST`` pixels that read the same two coarse places. A program takes one
piece of rows and a few pieces of columns, so it reads four places a piece, takes every exponential once, and leaves
four sums (one for each place). A second kernel adds those that belong to a place, in the order of the pieces: two
runs give the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import triton
from torch import Tensor

from fullconv.ops.checks import to_device
from fullconv.ops.triton.corners import add_corners, corner_sums

LONGEST = 16
LANES, CLASSES, PLACES = 64, 8, 128  # 16 numbers of each of four arrays a thread: 128 registers, none spilt
SUMS_BYTES = 32 << 20  # what lies between the two kernels (or one image's, if more): second-level caches hold it
EDGE = 4  # what a piece costs beside its pixels, in pixels: its sums


class Pieces(NamedTuple):
    """How one axis is cut.

    Attributes:
        number: of pieces.
        length: the most pixels of a piece, a power of two.
        table: int32 ``[4, number]``: first pixel, end, lower and upper place of each.
        reads: int32 ``[2, coarse]``: the pieces from the first to the second read the place.
    """

    number: int
    length: int
    table: Tensor
    reads: Tensor

    @classmethod
    def along(cls, low: np.ndarray, high: np.ndarray, coarse: int, longest: int = LONGEST) -> Pieces:
        """Cut pixels that read the places ``low`` and ``high`` (``[size]``, neither ever falls)."""
        pixel = np.arange(len(low))
        behind = pixel - np.searchsorted(low, low)  # pixels of the same two places before this one
        lengths = [2**power for power in range(longest.bit_length())]
        length = min(lengths, key=lambda length: np.count_nonzero(behind % length == 0) * (length + EDGE))
        first = np.flatnonzero(behind % length == 0)
        end = np.append(first[1:], len(low))
        place = np.arange(coarse)
        reads = np.searchsorted(high[first], place), np.searchsorted(low[first], place, side="right")
        table = np.stack((first, end, low[first], high[first]))
        return cls(len(first), length, torch.from_numpy(table).int(), torch.from_numpy(np.stack(reads)).int())

    def to(self, device: torch.device) -> Pieces:
        return self._replace(table=to_device(self.table, device), reads=to_device(self.reads, device))


def worthwhile(vertical: Pieces, horizontal: Pieces, pixels: int) -> bool:
    """Whether the sums are few beside the ``pixels`` of an image: at strides from 4 on (docs/ops.md has the count)."""
    return 12 * vertical.number * horizontal.number <= pixels


def softmax_gradient(
    scores: Tensor,
    labels: Tensor,
    weight: Tensor,
    pieces: tuple[Pieces, Pieces],
    fractions: tuple[Tensor, Tensor],
    maps: tuple[Tensor, Tensor],
    ignore_index: int,
    label_smoothing: float,
    focal: bool,
) -> Tensor:
    """The gradient of the summed loss, as ``scores n c h w``.

    Args:
        labels: ``n H W``.
        weight: ``[c]``.
        pieces, fractions: of the rows and of the columns.
        maps: log-normaliser and (focal) slope of each pixel, ``n H W``.
    """
    images, classes, height, width = scores.shape
    vertical, horizontal = pieces
    places = classes * vertical.number * horizontal.number
    at_once = min(max(SUMS_BYTES // (16 * places), 1), images)
    corners = scores.new_empty(4 * at_once * places)
    tile = min(CLASSES, triton.next_power_of_2(classes))
    group = LANES // horizontal.length
    weight_sum = weight.sum() if label_smoothing else weight
    gradient = torch.empty_like(scores)
    for first in range(0, images, at_once):
        here = min(at_once, images - first)
        corner_sums[(here * vertical.number, triton.cdiv(horizontal.number, group), triton.cdiv(classes, tile))](
            scores, labels, weight, weight_sum, vertical.table, fractions[0], horizontal.table, fractions[1], *maps,
            corners, first, classes, height, width, *labels.shape[1:], vertical.number, horizontal.number,
            ignore_index, label_smoothing / classes, 1 - label_smoothing,
            FOCAL=focal, SMOOTH=label_smoothing > 0, CLASSES=tile, PIECES=group, LENGTH=horizontal.length, num_warps=1,
        )  # fmt: skip
        add_corners[(here * classes * triton.cdiv(height * width, PLACES),)](
            corners, vertical.table, vertical.reads, horizontal.table, horizontal.reads, gradient,
            first * classes, height, width, vertical.number, horizontal.number, PLACES=PLACES,
        )  # fmt: skip
    return gradient
