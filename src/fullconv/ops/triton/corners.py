"""Triton kernels of the backward pass at large strides; :mod:`fullconv.ops.triton.pieces` cuts the axes for them."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["begin"])
def corner_sums(
    logits, labels, weight, weight_sum, row_pieces, row_fraction, column_pieces, column_fraction,
    log_norm, slope, corners,
    begin, classes, height, width, rows, columns, row_count, column_count, ignore, smooth, rest,
    FOCAL: tl.constexpr, SMOOTH: tl.constexpr, CLASSES: tl.constexpr, PIECES: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    """What some classes of some pieces of columns of one piece of rows add to their four places.

    ``corners [4, images, classes, row_count, column_count]``: upper left, upper right, lower left, lower right, of the
    images from ``begin`` on.
    """
    own_image, r = tl.program_id(0) // row_count, tl.program_id(0) % row_count
    lane = tl.arange(0, PIECES * LENGTH)
    piece = tl.program_id(1) * PIECES + lane // LENGTH
    there = piece < column_count
    x = tl.load(column_pieces + piece, there, 0) + lane % LENGTH
    mask = there & (x < tl.load(column_pieces + column_count + piece, there, 0))
    left = tl.load(column_pieces + 2 * column_count + piece, there, 0)[None, :]
    right = tl.load(column_pieces + 3 * column_count + piece, there, 0)[None, :]
    t = tl.load(column_fraction + x, mask, 0.0)[None, :]
    c = tl.program_id(2) * CLASSES + tl.arange(0, CLASSES)
    known = c < classes
    both = known[:, None] & mask[None, :]
    image = begin + own_image
    plane = image.to(tl.int64) * classes + c[:, None].to(tl.int64)
    upper = logits + plane * height * width + tl.load(row_pieces + 2 * row_count + r) * width
    lower = logits + plane * height * width + tl.load(row_pieces + 3 * row_count + r) * width
    above = (1 - t) * tl.load(upper + left, both, 0.0) + t * tl.load(upper + right, both, 0.0)
    below = (1 - t) * tl.load(lower + left, both, 0.0) + t * tl.load(lower + right, both, 0.0)
    if SMOOTH:
        even = smooth * tl.load(weight + c, known, 0.0)[:, None]
        shared = smooth * tl.load(weight_sum)
    top = tl.zeros([CLASSES, PIECES * LENGTH], tl.float32)
    bottom = tl.zeros([CLASSES, PIECES * LENGTH], tl.float32)
    for y in range(tl.load(row_pieces + r), tl.load(row_pieces + row_count + r)):
        f = tl.load(row_fraction + y)
        place = (image * rows + y).to(tl.int64) * columns + x
        label = tl.load(labels + place, mask, ignore).to(tl.int64)
        counted = mask & (label != ignore) & (label >= 0) & (label < classes)
        norm = tl.load(log_norm + place, counted, 0.0)
        hard = rest * tl.load(weight + label, counted, 0.0)
        soft = hard
        if SMOOTH:
            soft += shared
        d = soft[None, :] * tl.exp((1 - f) * above + f * below - norm[None, :])
        d -= tl.where(c[:, None] == label[None, :], hard[None, :], 0.0)
        if SMOOTH:
            d -= even
        if FOCAL:
            d *= tl.load(slope + place, counted, 0.0)[None, :]
        d = tl.where(counted[None, :], d, 0.0)
        top += (1 - f) * d
        bottom += f * d
    own = tl.program_id(1) * PIECES + tl.arange(0, PIECES)[None, :]
    stored = known[:, None] & (own < column_count)
    plane = own_image.to(tl.int64) * classes + c[:, None].to(tl.int64)
    out = corners + (plane * row_count + r) * column_count + own
    size = tl.num_programs(0).to(tl.int64) * classes * column_count
    shape: tl.constexpr = [CLASSES, PIECES, LENGTH]
    tl.store(out, tl.sum(tl.reshape((1 - t) * top, shape), 2), stored)
    tl.store(out + size, tl.sum(tl.reshape(t * top, shape), 2), stored)
    tl.store(out + 2 * size, tl.sum(tl.reshape((1 - t) * bottom, shape), 2), stored)
    tl.store(out + 3 * size, tl.sum(tl.reshape(t * bottom, shape), 2), stored)


@triton.jit(do_not_specialize=["begin"])
def add_corners(
    corners, row_pieces, row_reads, column_pieces, column_reads, gradient,
    begin, height, width, row_count, column_count, PLACES: tl.constexpr,
):  # fmt: skip
    """The gradient of one class of one image at a block of places: the sums of every piece that reads them.

    ``begin``: the number of planes (images times classes) before those of ``corners``.
    """
    blocks = tl.cdiv(height * width, PLACES)
    own = (tl.program_id(0) // blocks).to(tl.int64)
    place = tl.program_id(0) % blocks * PLACES + tl.arange(0, PLACES)
    mask = place < height * width
    i, j = place // width, place % width
    first_row, first_column = tl.load(row_reads + i, mask, 0), tl.load(column_reads + j, mask, 0)
    rows = tl.load(row_reads + height + i, mask, 0) - first_row
    columns = tl.load(column_reads + width + j, mask, 0) - first_column
    plane = corners + own * row_count * column_count
    size = (tl.num_programs(0) // blocks).to(tl.int64) * row_count * column_count
    total = tl.zeros([PLACES], tl.float32)
    for a in range(tl.max(rows)):
        r = first_row + a
        upper = (a < rows) & (tl.load(row_pieces + 2 * row_count + r, a < rows, -1) == i)
        lower = (a < rows) & (tl.load(row_pieces + 3 * row_count + r, a < rows, -1) == i)
        for b in range(tl.max(columns)):
            q = first_column + b
            left = (b < columns) & (tl.load(column_pieces + 2 * column_count + q, b < columns, -1) == j)
            right = (b < columns) & (tl.load(column_pieces + 3 * column_count + q, b < columns, -1) == j)
            at = plane + r * column_count + q
            total += tl.load(at, upper & left, 0.0) + tl.load(at + size, upper & right, 0.0)
            total += tl.load(at + 2 * size, lower & left, 0.0) + tl.load(at + 3 * size, lower & right, 0.0)
    tl.store(gradient + (begin + own) * height * width + place, total, mask)
