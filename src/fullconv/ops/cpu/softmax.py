"""Cross-entropy and focal loss with their gradient, one task per few coarse rows of one image.

For an output row with vertical fraction ``f`` between the coarse rows ``upper`` and ``lower`` (both already enlarged
along x), in base 2:

    score   = (1 - f) * upper + f * lower
    bound   = (1 - f) * max(upper) + f * max(lower)        at least the largest score: no pass to find it
    p       = 2**(score - bound) / sum
    d_score = factor * p - one_hot

and the gradient of the two coarse rows gathers ``(1 - f) * d_score`` and ``f * d_score`` (kept as ``sum`` and
``lower_sum``) before it is shrunk along x, once per coarse row.
"""

from __future__ import annotations

import math

import numpy as np

from fullconv.ops.cpu.maths import LN2, LOG2E, LOWEST, exp2, f32, i32, kernel, log2, u64
from fullconv.ops.cpu.rows import add_row, enlarge, mix, read_row, shrink
from fullconv.ops.cpu.targets import count_smoothing, pick, read_targets, subtract_smoothing, subtract_targets

SEGMENT = 128  # lanes worked on at once: their exponentials of all classes stay in the first cache


@kernel
def exponentials(upper, lower, first, count, fraction, bound, powers, total):
    """``2**(score - bound)`` of lanes ``first`` to ``first + count``, for all classes, and their sum."""
    rest = f32(1) - fraction
    for i in range(count):
        total[i] = f32(0)
    for c in range(upper.shape[0]):
        for i in range(count):
            power = exp2(rest * upper[c, first + i] + (fraction * lower[c, first + i] - bound[i]))
            powers[c, i] = power
            total[i] += power


@kernel
def redo_lanes(upper, lower, fraction, first, count, soft, powers, bound, total):
    """Lanes whose powers all vanished or are not finite, again with their true maximum.

    A lane that counts for nothing gets powers of 0, so that nan and infinity there do no harm.
    """
    rest = f32(1) - fraction
    for i in range(count):
        if f32(1e-30) <= total[i] <= f32(1e30):
            continue
        highest = f32(-np.inf)
        for c in range(upper.shape[0]):
            score = rest * upper[c, first + i] + fraction * lower[c, first + i]
            if score > highest or score != score:
                highest = score
        counted = soft[i] > f32(0)
        bound[i] = highest if counted else f32(0)
        total[i] = f32(0) if counted else f32(1)
        for c in range(upper.shape[0]):
            score = rest * upper[c, first + i] + fraction * lower[c, first + i]
            powers[c, i] = exp2(score - highest) if counted else f32(0)
            total[i] += powers[c, i]


@kernel
def count_strange(total, count):
    strange = 0
    for i in range(count):
        strange += 0 if f32(1e-30) <= total[i] <= f32(1e30) else 1
    return strange


@kernel
def _losses(count, total, bound, picked, mean_score, hard, soft, smooth, loss, factor):
    """``soft * log_norm - hard * picked - smooth * mean_score``; the gradient's factor of the powers."""
    for i in range(count):
        log_norm = log2(total[i]) + bound[i]
        counted = soft[i] > f32(0)
        value = LN2 * (soft[i] * log_norm - hard[i] * picked[i] - smooth * mean_score[i])
        if smooth == 0 and value < 0:
            value = f32(0)  # rounding
        loss[i] = value if counted else f32(0)
        factor[i] = soft[i] / total[i]


@kernel
def _focus(count, gamma, hard, loss, factor, target_share):
    """Turn cross-entropy into focal loss: its gradient is that of cross-entropy times a factor of its own."""
    for i in range(count):
        target_share[i] = hard[i]
        if hard[i] > f32(0):
            log_p = min(-float(loss[i]) / hard[i], 0.0)
            miss = -math.expm1(log_p)
            power = miss**gamma
            slope = power - (gamma * math.exp(log_p) * miss ** (gamma - 1) * log_p if miss > 0 else 0.0)
            loss[i] *= f32(power)
            factor[i] *= f32(slope)
            target_share[i] *= f32(slope)


@kernel
def _gather_back(powers, factor, fraction, first, count, both, low):
    """Add each lane's slope to the sums over the output rows, plain and times the row's fraction."""
    for c in range(powers.shape[0]):
        for i in range(count):
            slope = powers[c, i] * factor[i]
            both[c, first + i] += slope
            low[c, first + i] += fraction * slope


@kernel
def fold(both, low, carried):
    """``carried += both - low``: what the interval gives to its upper coarse row."""
    for c in range(both.shape[0]):
        for i in range(both.shape[1]):
            carried[c, i] += both[c, i] - low[c, i]


@kernel
def _write_map(pixel, first, count, loss, row):
    for i in range(count):
        if pixel[first + i] >= 0:
            row[u64(pixel[first + i])] = loss[i]


@kernel
def _sum(values, count):
    total = 0.0
    for i in range(count):
        total += values[i]
    return total


@kernel
def enlarge_with_statistics(row, fraction, left, block, weight, smooth, lanes, highest, mean):
    """A coarse row in lanes, the largest score of each lane, and (for smoothing) their weighted sum."""
    enlarge(row, fraction, left, block, lanes)
    highest[:] = LOWEST
    mean[:] = f32(0)
    for c in range(lanes.shape[0]):
        for i in range(lanes.shape[1]):
            highest[i] = max(highest[i], lanes[c, i])
        if smooth > 0:
            for i in range(lanes.shape[1]):
                mean[i] += weight[c] * lanes[c, i]


@kernel
def softmax_task(
    logits, labels, weight, ignore_index, smoothing, gamma,
    first_interval, row_start, row_fraction, first_cell, block, left, fraction, pixel,
    begin, end, gradient, edge, loss_map,
):  # fmt: skip
    """Intervals ``begin`` to ``end`` of one image: ``(loss, weight, bad row, bad column)``, sums over pixels.

    ``gradient [c, h, w]`` gets the coarse rows of which this task is the first writer, ``edge [c, 1, w]`` the one
    it shares with the task above it. An empty ``gradient`` asks for no gradient, an empty ``loss_map [H, W]`` for no
    losses by pixel. The bad pixel, if its row is not -1, has a label outside the classes.
    """
    classes, coarse_rows, _ = logits.shape
    lanes = fraction.shape[1]
    wanted, mapped = gradient.shape[0] > 0, loss_map.shape[0] > 0
    smooth = f32(smoothing / classes)
    weight_sum = f32(_sum(weight, u64(classes)))
    row = np.zeros((classes, block + 2), f32)
    upper, lower = np.zeros((classes, lanes), f32), np.zeros((classes, lanes), f32)
    both, low = np.zeros((classes, lanes), f32), np.zeros((classes, lanes), f32)
    carried = np.zeros((classes, lanes), f32)
    upper_max, lower_max = np.zeros(lanes, f32), np.zeros(lanes, f32)
    upper_mean, lower_mean = np.zeros(lanes, f32), np.zeros(lanes, f32)
    counted, counted_low = np.zeros(lanes, f32), np.zeros(lanes, f32)
    powers = np.zeros((classes, SEGMENT), f32)
    total, bound, factor = np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32)
    picked, mean_score, loss = np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32)
    hard, soft, share = np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32), np.zeros(SEGMENT, f32)
    target = np.zeros(SEGMENT, i32)
    loss_sum, pixel_weight, bad_row, bad_column = 0.0, 0.0, -1, -1
    for b in range(fraction.shape[0]):
        start = first_cell + b * block
        carried[:] = f32(0)
        for interval in range(begin, end):
            above = max(first_interval + interval - 1, 0)
            below = min(first_interval + interval, coarse_rows - 1)
            if interval == begin:
                read_row(logits, above, start, LOG2E, row)
                enlarge_with_statistics(row, fraction[b], left, block, weight, smooth, upper, upper_max, upper_mean)
            read_row(logits, below, start, LOG2E, row)
            enlarge_with_statistics(row, fraction[b], left, block, weight, smooth, lower, lower_max, lower_mean)
            both[:] = f32(0)
            low[:] = f32(0)
            counted[:] = f32(0)
            counted_low[:] = f32(0)
            for y in range(row_start[interval], row_start[interval + 1]):
                f = row_fraction[y]
                for s in range(0, lanes, SEGMENT):
                    first, count = u64(s), u64(min(SEGMENT, lanes - s))
                    pixels, summed, bad = read_targets(
                        labels[y], pixel[b], first, count, ignore_index, classes, weight, weight_sum, smoothing,
                        target, hard, soft,
                    )  # fmt: skip
                    if bad >= 0 and bad_row < 0:
                        bad_row, bad_column = y, bad
                    pixel_weight += summed
                    if pixels > 0:
                        pick(upper, lower, f, first, count, target, picked)
                        mix(upper_max, lower_max, f, first, count, bound)
                        exponentials(upper, lower, first, count, f, bound, powers, total)
                        if count_strange(total, count) > 0:
                            redo_lanes(upper, lower, f, first, count, soft, powers, bound, total)
                        if smoothing > 0:
                            mix(upper_mean, lower_mean, f, first, count, mean_score)
                        _losses(count, total, bound, picked, mean_score, hard, soft, smooth, loss, factor)
                        if gamma > 0:
                            _focus(count, gamma, hard, loss, factor, share)
                        else:
                            share[:] = hard
                        loss_sum += _sum(loss, count)
                        if wanted:
                            subtract_targets(target, share, f, first, count, both, low)
                            _gather_back(powers, factor, f, first, count, both, low)
                            if smoothing > 0:
                                count_smoothing(target, f, smooth, first, count, counted, counted_low)
                        if mapped:
                            _write_map(pixel[b], first, count, loss, loss_map[y])
            if wanted:
                if smoothing > 0:
                    subtract_smoothing(weight, counted, counted_low, both, low)
                fold(both, low, carried)
                shrink(carried, fraction[b], left, block, row)
                if interval == begin:
                    add_row(row, edge, 0, start)
                else:
                    add_row(row, gradient, above, start)
            upper, lower = lower, upper
            upper_max, lower_max = lower_max, upper_max
            upper_mean, lower_mean = lower_mean, upper_mean
            carried, low = low, carried
        if wanted:
            shrink(carried, fraction[b], left, block, row)
            add_row(row, gradient, below, start)
    return loss_sum, pixel_weight, bad_row, bad_column
