"""The best class of every pixel, its probability, and the entropy of all, row by row."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import LOG2E, exp2, f32, i32, kernel, log2
from fullconv.ops.cpu.rows import enlarge, read_row


@kernel
def _search(upper, lower, fraction, best, label):
    """The best score and its class, lane by lane.

    Ties stay with the lower id; nan counts as the largest, as in ``torch.argmax``.
    """
    rest = f32(1) - fraction
    for i in range(best.shape[0]):
        best[i] = rest * upper[0, i] + fraction * lower[0, i]
        label[i] = i32(0)
    for c in range(1, upper.shape[0]):
        for i in range(best.shape[0]):
            score = rest * upper[c, i] + fraction * lower[c, i]
            wins = (score > best[i]) | ((score != score) & (best[i] == best[i]))
            best[i] = score if wins else best[i]
            label[i] = i32(c) if wins else label[i]


@kernel
def _add_powers(upper, lower, fraction, best, total):
    rest = f32(1) - fraction
    total[:] = f32(0)
    for c in range(upper.shape[0]):
        for i in range(best.shape[0]):
            total[i] += exp2(rest * upper[c, i] + (fraction * lower[c, i] - best[i]))


@kernel
def _add_moments(upper, lower, fraction, best, total, moment):
    """Also the sum of each power times its exponent."""
    rest = f32(1) - fraction
    total[:] = f32(0)
    moment[:] = f32(0)
    for c in range(upper.shape[0]):
        for i in range(best.shape[0]):
            below = rest * upper[c, i] + (fraction * lower[c, i] - best[i])
            power = exp2(below)
            total[i] += power
            moment[i] += power * max(below, f32(-127))


@kernel
def argmax_task(
    logits, first_interval, row_start, row_fraction, first_cell, block, left, fraction, pixel,
    begin, end, labels, confidence, entropy,
):  # fmt: skip
    """Write ``labels [H, W]`` for intervals ``begin`` to ``end`` of one image, ``confidence`` and ``entropy`` (in bits)
    if not empty."""
    classes, coarse_rows, _ = logits.shape
    lanes = fraction.shape[1]
    undecided = entropy.shape[0] > 0
    wanted = confidence.shape[0] > 0
    row = np.zeros((classes, block + 2), f32)
    upper, lower = np.zeros((classes, lanes), f32), np.zeros((classes, lanes), f32)
    best, label, total = np.zeros(lanes, f32), np.zeros(lanes, i32), np.zeros(lanes, f32)
    moment = np.zeros(lanes, f32)
    factor = LOG2E if wanted or undecided else f32(1)  # unscaled scores tie exactly where the logits do
    for b in range(fraction.shape[0]):
        start = first_cell + b * block
        for interval in range(begin, end):
            if interval == begin:
                read_row(logits, max(first_interval + interval - 1, 0), start, factor, row)
                enlarge(row, fraction[b], left, block, upper)
            read_row(logits, min(first_interval + interval, coarse_rows - 1), start, factor, row)
            enlarge(row, fraction[b], left, block, lower)
            for y in range(row_start[interval], row_start[interval + 1]):
                f = row_fraction[y]
                _search(upper, lower, f, best, label)
                if undecided:
                    _add_moments(upper, lower, f, best, total, moment)
                elif wanted:
                    _add_powers(upper, lower, f, best, total)
                for i in range(lanes):
                    column = pixel[b, i]
                    if column >= 0:
                        labels[y, column] = label[i]
                        if wanted:
                            confidence[y, column] = min(f32(1) / total[i], f32(1))
                        if undecided:
                            entropy[y, column] = log2(total[i]) - moment[i] / total[i]
            upper, lower = lower, upper
