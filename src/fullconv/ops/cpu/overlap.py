"""The sums of the Dice and Jaccard losses and their gradient, one task per few coarse rows of one image.

Scores and their powers are those of :mod:`fullconv.ops.cpu.softmax`. With ``p`` the probabilities of a pixel that
counts, ``t`` its class, and ``shared``, ``guessed`` the loss's slopes with respect to each class's ``sum(p t)`` and
``sum(p)``:

    slope[c]  =  guessed[c] + (shared[c] where c = t)
    d_score[c]  =  p[c] * (slope[c] - sum over k of p[k] * slope[k])
"""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import LOG2E, f32, i32, kernel, u64
from fullconv.ops.cpu.rows import add_row, mix, read_row, shrink
from fullconv.ops.cpu.softmax import SEGMENT, count_strange, enlarge_with_statistics, exponentials, fold, redo_lanes
from fullconv.ops.cpu.targets import read_targets


@kernel
def _shares(total, soft, count, share):
    """What a lane's powers are multiplied by to be its probabilities; 0 where it does not count."""
    for i in range(count):
        share[i] = soft[i] / total[i]


@kernel
def _add_up(powers, share, target, first, count, guessed, sums):
    """``guessed [c, lanes]``: each lane's probabilities, added; ``sums [3, c]``: the others, class by class."""
    for c in range(powers.shape[0]):
        for i in range(count):
            guessed[c, first + i] += powers[c, i] * share[i]
    for i in range(count):
        if target[i] >= 0:
            label = u64(target[i])
            sums[0, label] += powers[label, i] * share[i]
            sums[2, label] += 1.0


@kernel
def _slopes_back(powers, share, target, shared, guessed, fraction, first, count, mean, both, low):
    """Add each lane's slopes to the sums over the output rows, plain and times the row's fraction."""
    for i in range(count):
        mean[i] = f32(0)
    for c in range(powers.shape[0]):
        for i in range(count):
            powers[c, i] *= share[i]
            mean[i] += powers[c, i] * guessed[c]
    for i in range(count):
        if target[i] >= 0:
            label = u64(target[i])
            own = powers[label, i] * shared[label]
            mean[i] += own
            both[label, first + i] += own
            low[label, first + i] += fraction * own
    for c in range(powers.shape[0]):
        for i in range(count):
            slope = powers[c, i] * (guessed[c] - mean[i])
            both[c, first + i] += slope
            low[c, first + i] += fraction * slope


@kernel
def overlap_task(
    logits, labels, ignore_index, shared, guessed,
    first_interval, row_start, row_fraction, first_cell, block, left, fraction, pixel,
    begin, end, gradient, edge, sums,
):  # fmt: skip
    """Intervals ``begin`` to ``end`` of one image: either sums, or where ``gradient`` is not empty the gradient.

    ``gradient [c, h, w]`` and ``edge [c, 1, w]`` as :func:`fullconv.ops.cpu.softmax.softmax_task` has them; ``sums
    [3, c]``, float64: ``sum(p t)``, ``sum(p)``, ``sum(t)``.
    """
    classes, coarse_rows, _ = logits.shape
    lanes = fraction.shape[1]
    wanted = gradient.shape[0] > 0
    ones = np.ones(classes, f32)
    row = np.zeros((classes, block + 2), f32)
    upper, lower = np.zeros((classes, lanes), f32), np.zeros((classes, lanes), f32)
    both, low = np.zeros((classes, lanes), f32), np.zeros((classes, lanes), f32)
    carried = np.zeros((classes, lanes), f32)
    upper_max, lower_max, unused = np.zeros(lanes, f32), np.zeros(lanes, f32), np.zeros(lanes, f32)
    powers = np.zeros((classes, SEGMENT), f32)
    total, bound = np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32)
    share, mean = np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32)
    hard, soft, target = np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32), np.zeros(SEGMENT, i32)
    for b in range(fraction.shape[0]):
        start = first_cell + b * block
        carried[:] = f32(0)
        for interval in range(begin, end):
            above = max(first_interval + interval - 1, 0)
            below = min(first_interval + interval, coarse_rows - 1)
            if interval == begin:
                read_row(logits, above, start, LOG2E, row)
                enlarge_with_statistics(row, fraction[b], left, block, ones, f32(0), upper, upper_max, unused)
            read_row(logits, below, start, LOG2E, row)
            enlarge_with_statistics(row, fraction[b], left, block, ones, f32(0), lower, lower_max, unused)
            both[:] = f32(0)
            low[:] = f32(0)
            for y in range(row_start[interval], row_start[interval + 1]):
                f = row_fraction[y]
                for s in range(0, lanes, SEGMENT):
                    first, count = u64(s), u64(min(SEGMENT, lanes - s))
                    pixels, _, _ = read_targets(
                        labels[y], pixel[b], first, count, ignore_index, classes, ones, f32(0), 0.0, target, hard, soft
                    )
                    if pixels == 0:
                        continue
                    mix(upper_max, lower_max, f, first, count, bound)
                    exponentials(upper, lower, first, count, f, bound, powers, total)
                    if count_strange(total, count) > 0:
                        redo_lanes(upper, lower, f, first, count, soft, powers, bound, total)
                    _shares(total, soft, count, share)
                    if wanted:
                        _slopes_back(powers, share, target, shared, guessed, f, first, count, mean, both, low)
                    else:
                        _add_up(powers, share, target, first, count, both, sums)
            if wanted:
                fold(both, low, carried)
                shrink(carried, fraction[b], left, block, row)
                if interval == begin:
                    add_row(row, edge, 0, start)
                else:
                    add_row(row, gradient, above, start)
            else:
                for c in range(classes):
                    for i in range(lanes):
                        sums[1, c] += both[c, i]
            upper, lower = lower, upper
            upper_max, lower_max = lower_max, upper_max
            carried, low = low, carried
        if wanted:
            shrink(carried, fraction[b], left, block, row)
            add_row(row, gradient, below, start)
