"""The Triton kernel of the losses' forward pass.

A program takes one piece of rows (:mod:`fullconv.ops.triton.pieces`) and a block of columns, so that each class is read
at four places a column and goes down the rows with one exponential a pixel.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def softmax_forward(
    logits, highest, labels, weight,
    row_pieces, row_fraction, column_low, column_high, column_fraction,
    log_norm, slope, losses, sums,
    classes, height, width, rows, columns, row_count, ignore, smooth, rest, gamma,
    FOCAL: tl.constexpr, SMOOTH: tl.constexpr, EACH: tl.constexpr, ROWS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """Log-normaliser and (focal) slope of each pixel, with ``EACH`` its loss; ``sums [3, blocks, images * row_count]``:
    the summed losses and weights of this program's pixels, and how many of their labels are no class.

    ``highest``: of each coarse place, the highest score. Interpolated, it is at least the highest score of a pixel, and
    serves as well where not all powers vanish beside it; programs with pixels where they do, or with scores that are
    not finite, sweep again and search.
    """
    image, r = tl.program_id(0) // row_count, tl.program_id(0) % row_count
    first = tl.load(row_pieces + r)
    y = first + tl.arange(0, ROWS)
    x = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    across = x < columns
    down = y < tl.load(row_pieces + row_count + r)
    mask = down[:, None] & across[None, :]
    low = tl.load(column_low + x, across, 0)
    high = tl.load(column_high + x, across, 0)
    t = tl.load(column_fraction + x, across, 0.0)
    f = tl.load(row_fraction + y, down, 0.0)[:, None]
    above = tl.load(row_pieces + 2 * row_count + r) * width
    below = tl.load(row_pieces + 3 * row_count + r) * width
    start = (image * rows + first).to(tl.int64) * columns
    place = tl.arange(0, ROWS)[:, None] * columns + x[None, :]
    label = tl.load(labels + start + place, mask, ignore).to(tl.int64)
    counted = mask & (label != ignore)
    wrong = counted & ((label < 0) | (label >= classes))
    counted = counted & ~wrong
    own_class = tl.where(counted, label, -1).to(tl.int32)
    wrong_labels = tl.sum(wrong.to(tl.float32))
    plane = image.to(tl.int64) * height * width
    limit = _scores(highest + plane, above, below, low, high, t, f)
    of_classes = logits + plane * classes
    total, picked, mean = _sweep(
        of_classes, weight, own_class, limit, above, below, low, high, t, f, classes, height * width, SMOOTH
    )
    if tl.max((mask & ~((total > 1e-30) & (total < float("inf")))).to(tl.int32)) > 0:  # also where it is nan
        limit = _search(of_classes, limit, above, below, low, high, t, f, classes, height * width)
        total, picked, mean = _sweep(
            of_classes, weight, own_class, limit, above, below, low, high, t, f, classes, height * width, SMOOTH
        )
    weight_sum = 0.0
    if SMOOTH:
        for c in range(classes):
            weight_sum += tl.load(weight + c)
    norm = limit + tl.log(total)
    counted = own_class >= 0
    own = tl.load(weight + own_class, counted, 0.0)
    loss = (rest * own + smooth * weight_sum) * norm - rest * own * picked - smooth * mean
    if FOCAL:
        log_p = picked - norm
        p = tl.exp(log_p)
        # near p = 1 the difference has no digits left
        miss = tl.where(log_p > -1e-3, -log_p * (1 + log_p / 2), 1 - p)
        miss = tl.maximum(miss, 1e-38)
        power = tl.exp(gamma * tl.log(miss))
        loss *= power
        tl.store(slope + start + place, tl.where(counted, power - gamma * p * power / miss * log_p, 0.0), mask)
    loss = tl.where(counted, loss, 0.0)
    tl.store(log_norm + start + place, norm, mask)
    if EACH:
        tl.store(losses + start + place, loss, mask)
    out = sums + tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    size = tl.num_programs(0) * tl.num_programs(1)
    tl.store(out, tl.sum(loss))
    tl.store(out + size, tl.sum(own))
    tl.store(out + 2 * size, wrong_labels)


@triton.jit
def _scores(plane, above, below, low, high, t, f):
    """One class, enlarged: ``[rows, pixels]``."""
    upper = (1 - t) * tl.load(plane + above + low) + t * tl.load(plane + above + high)
    lower = (1 - t) * tl.load(plane + below + low) + t * tl.load(plane + below + high)
    return (1 - f) * upper[None, :] + f * lower[None, :]


@triton.jit
def _sweep(logits, weight, own_class, limit, above, below, low, high, t, f, classes, plane, SMOOTH: tl.constexpr):
    """Summed powers of every class's score less ``limit``, the own class's score and the weighted sum of all."""
    total, picked, mean = tl.zeros_like(limit), tl.zeros_like(limit), tl.zeros_like(limit)
    for c in range(classes):
        s = _scores(logits, above, below, low, high, t, f)
        logits += plane
        total += tl.exp(s - limit)
        picked = tl.where(own_class == c, s, picked)
        if SMOOTH:
            mean += tl.load(weight + c) * s
    return total, picked, mean


@triton.jit
def _search(logits, limit, above, below, low, high, t, f, classes, plane):
    """The highest score of each pixel, 0 where all are minus infinity."""
    top = tl.full(limit.shape, float("-inf"), tl.float32)
    for _ in range(classes):
        top = tl.maximum(top, _scores(logits, above, below, low, high, t, f))
        logits += plane
    return tl.where(top == float("-inf"), 0.0, top)
