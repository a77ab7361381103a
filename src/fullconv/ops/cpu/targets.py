"""What each lane's own label takes from the scores, and from the gradient."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import f32, i32, kernel, u64


@kernel
def read_targets(labels, pixel, first, count, ignore_index, classes, weight, weight_sum, smoothing, target, hard, soft):
    """Each lane's label (-1 where it counts for nothing) and its shares of the loss.

    Returns how many count, the sum of their class weights, and the column of a label outside the classes, or -1.
    """
    counted, summed, bad = 0, 0.0, -1
    rest, spread = f32(1 - smoothing), f32(smoothing / classes) * weight_sum
    for i in range(count):
        column = pixel[first + i]
        target[i], hard[i], soft[i] = i32(-1), f32(0), f32(0)
        if column < 0:
            continue
        label = np.int64(labels[u64(column)])
        if label == ignore_index:
            continue
        if label < 0 or label >= classes:
            bad = column
            continue
        own = weight[u64(label)]
        target[i], hard[i], soft[i] = i32(label), rest * own, rest * own + spread
        counted += 1
        summed += own
    return counted, summed, bad


@kernel
def pick(upper, lower, fraction, first, count, target, picked):
    """The score of each lane's own label."""
    for i in range(count):
        picked[i] = f32(0)
        if target[i] >= 0:
            label = u64(target[i])
            picked[i] = (f32(1) - fraction) * upper[label, first + i] + fraction * lower[label, first + i]


@kernel
def subtract_targets(target, share, fraction, first, count, both, low):
    """The one-hot part of the gradient."""
    for i in range(count):
        if target[i] >= 0:
            label = u64(target[i])
            both[label, first + i] -= share[i]
            low[label, first + i] -= fraction * share[i]


@kernel
def count_smoothing(target, fraction, smooth, first, count, counted, counted_low):
    for i in range(count):
        if target[i] >= 0:
            counted[first + i] += smooth
            counted_low[first + i] += fraction * smooth


@kernel
def subtract_smoothing(weight, counted, counted_low, both, low):
    """The even part of the smoothed target: the same for all classes but for their weights."""
    for c in range(both.shape[0]):
        for i in range(both.shape[1]):
            both[c, i] -= weight[c] * counted[i]
            low[c, i] -= weight[c] * counted_low[i]
