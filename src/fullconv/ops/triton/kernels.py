"""Triton kernels. All sums are gathered by the program that owns the result, so two runs give the same bits.

Bilinear interpolation comes as three tables per axis: for each pixel the lower and upper coarse index, and how far
the pixel lies from the one to the other.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def softmax_backward(
    logits, labels, weight,
    row_low, row_high, row_fraction, column_low, column_high, column_fraction,
    row_first, row_end, column_first, column_end,
    log_norm, slope, gradient,
    classes, height, width, rows, columns, ignore, smooth, soft_extra, rest, phases,
    FOCAL: tl.constexpr, SMOOTH: tl.constexpr, CELLS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    """The gradient of some classes at some coarse places of one row: gathers every pixel that reads them."""
    row = tl.program_id(0)
    image, i = row // height, row % height
    j = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    c = tl.program_id(2) * CLASSES + tl.arange(0, CLASSES)
    inside, known = j < width, c < classes
    both = known[:, None] & inside[None, :]
    plane = logits + image.to(tl.int64) * classes * height * width + c[:, None].to(tl.int64) * (height * width)
    left = tl.maximum(j - 1, 0)
    right = tl.minimum(j + 1, width - 1)
    first = tl.load(column_first + j, inside, 0)
    end = tl.load(column_end + j, inside, 0)
    w = tl.load(weight + c, known, 0.0)
    result = tl.zeros([CLASSES, CELLS], tl.float32)
    for y in range(tl.load(row_first + i), tl.load(row_end + i)):
        above, below, f = tl.load(row_low + y), tl.load(row_high + y), tl.load(row_fraction + y)
        vertical = tl.where(above == i, 1 - f, 0.0) + tl.where(below == i, f, 0.0)
        before = (1 - f) * tl.load(plane + above * width + left[None, :], both, 0.0) + f * tl.load(
            plane + below * width + left[None, :], both, 0.0
        )
        here = (1 - f) * tl.load(plane + above * width + j[None, :], both, 0.0) + f * tl.load(
            plane + below * width + j[None, :], both, 0.0
        )
        after = (1 - f) * tl.load(plane + above * width + right[None, :], both, 0.0) + f * tl.load(
            plane + below * width + right[None, :], both, 0.0
        )
        for phase in range(phases):
            x = first + phase
            mask = inside & (x < end)
            place = (image * rows + y).to(tl.int64) * columns + x
            label = tl.load(labels + place, mask, ignore).to(tl.int64)
            counted = mask & (label != ignore) & (label >= 0) & (label < classes)
            low = tl.load(column_low + x, mask, 0)
            t = tl.load(column_fraction + x, mask, 0.0)
            norm = tl.load(log_norm + place, counted, 0.0)
            own = tl.load(weight + label, counted, 0.0)
            is_low = low == j
            # at the right edge, and where nothing is enlarged, the upper index is the lower one: it counts for both
            alone = low == tl.load(column_high + x, mask, 0)
            horizontal = tl.where(alone, 1.0, tl.where(is_low, 1 - t, t))
            s = tl.where(
                is_low[None, :], (1 - t)[None, :] * here + t[None, :] * tl.where(alone[None, :], here, after),
                (1 - t)[None, :] * before + t[None, :] * here,
            )  # fmt: skip
            p = tl.exp(s - norm[None, :])
            g = (rest * own + soft_extra)[None, :] * p - tl.where(
                c[:, None] == label[None, :], (rest * own)[None, :], 0.0
            )
            if SMOOTH:
                g -= smooth * w[:, None]
            if FOCAL:
                g *= tl.load(slope + place, counted, 0.0)[None, :]
            result += tl.where(counted[None, :], g, 0.0) * (vertical * horizontal)[None, :]
    out = gradient + image.to(tl.int64) * classes * height * width + c[:, None].to(tl.int64) * (height * width)
    tl.store(out + i * width + j[None, :], result, both)


@triton.jit
def argmax_forward(
    logits, row_low, row_high, row_fraction, column_low, column_high, column_fraction,
    labels, confidence, classes, height, width, rows, columns,
    SURE: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """The first class with the highest score of each pixel of a block of one row (nan counts as the highest)."""
    row = tl.program_id(0)
    image, y = row // rows, row % rows
    x = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    mask = x < columns
    low = tl.load(column_low + x, mask, 0)
    high = tl.load(column_high + x, mask, 0)
    t = tl.load(column_fraction + x, mask, 0.0)
    above, below, f = tl.load(row_low + y) * width, tl.load(row_high + y) * width, tl.load(row_fraction + y)
    plane = logits + image.to(tl.int64) * classes * height * width
    best = tl.full([PIXELS], float("-inf"), tl.float32)
    label = tl.zeros([PIXELS], tl.int32)
    total = tl.zeros([PIXELS], tl.float32)
    for c in range(classes):
        base = plane + tl.cast(c, tl.int64) * (height * width)
        upper = (1 - t) * tl.load(base + above + low, mask, 0.0) + t * tl.load(base + above + high, mask, 0.0)
        lower = (1 - t) * tl.load(base + below + low, mask, 0.0) + t * tl.load(base + below + high, mask, 0.0)
        s = (1 - f) * upper + f * lower
        wins = (s > best) | ((s != s) & (best == best))
        if SURE:
            top = tl.where(wins, s, best)
            total = total * tl.where(best == top, 1.0, tl.exp(best - top)) + tl.where(s == top, 1.0, tl.exp(s - top))
        best = tl.where(wins, s, best)
        label = tl.where(wins, c, label)
    place = row.to(tl.int64) * columns + x
    tl.store(labels + place, label.to(labels.dtype.element_ty), mask)
    if SURE:
        tl.store(confidence + place, 1 / total, mask)


@triton.jit
def count_pairs(prediction, target, counts, outside, pixels, classes, ignore, BLOCK: tl.constexpr, BINS: tl.constexpr):
    """Add a block's (target, prediction) pairs to ``counts [BINS]``: integers, so their order does not matter.

    ``outside`` holds how many targets are no class and the largest of them, then the same of predictions.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = i < pixels
    truth = tl.load(target + i, mask, ignore).to(tl.int64)
    guess = tl.load(prediction + i, mask, 0).to(tl.int64)
    counted = mask & (truth != ignore)
    bad_truth = counted & ((truth < 0) | (truth >= classes))
    bad_guess = counted & ~bad_truth & ((guess < 0) | (guess >= classes))
    good = counted & ~bad_truth & ~bad_guess
    pair = tl.where(good, truth * classes + guess, BINS - 1).to(tl.int32)
    found = tl.histogram(pair, BINS)
    bins = tl.arange(0, BINS)
    tl.atomic_add(counts + bins, found.to(tl.int64), (found > 0) & (bins < BINS - 1))
    if tl.sum((bad_truth | bad_guess).to(tl.int32)) > 0:
        tl.atomic_add(outside, tl.sum(bad_truth.to(tl.int64)))
        tl.atomic_add(outside + 2, tl.sum(bad_guess.to(tl.int64)))
        tl.atomic_max(outside + 1, tl.max(tl.where(bad_truth, truth, -(2**62))))
        tl.atomic_max(outside + 3, tl.max(tl.where(bad_guess, guess, -(2**62))))
