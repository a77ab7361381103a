"""The passes over an image of :mod:`fullconv.ops.cpu.depthwise`, which says what they compute."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import as_float, as_stored, f32, kernel


@kernel
def widen(source, target):
    for x in range(source.shape[0]):
        bits, values = source[x], target[x]
        for c in range(bits.shape[0]):
            values[c] = as_float(bits[c])


@kernel
def weight_task(read, slope, stride, top, left, out):
    """One image's part of the weights' gradient, ``out [kernel rows, kernel columns, channels]``.

    The rows that the kernel covers are kept in float32; four places are added at a time.
    """
    rows, columns, channels = out.shape
    height, width, _ = read.shape
    high, wide, _ = slope.shape
    fours = (wide + 3) // 4 * 4
    kept = np.zeros((rows, max((fours - 1) * stride + columns, left + width), channels), np.float32)
    line = np.zeros((fours, channels), np.float32)
    total = np.zeros((rows, columns, channels), np.float32)
    newest = -1  # of the padded map
    for y in range(high):
        while newest < y * stride + rows - 1:
            newest += 1
            if 0 <= newest - top < height:
                widen(read[newest - top], kept[newest % rows, left : left + width])
            else:
                kept[newest % rows] = f32(0)
        widen(slope[y], line[:wide])
        for i in range(rows):
            row = kept[(y * stride + i) % rows]
            for x in range(0, fours, 4):
                g0, g1, g2, g3 = line[x], line[x + 1], line[x + 2], line[x + 3]
                for j in range(columns):
                    sums, at = total[i, j], x * stride + j
                    x0, x1, x2, x3 = row[at], row[at + stride], row[at + 2 * stride], row[at + 3 * stride]
                    for c in range(channels):
                        sums[c] += (x0[c] * g0[c] + x1[c] * g1[c]) + (x2[c] * g2[c] + x3[c] * g3[c])
    out[:] = total


@kernel
def input_task(slope, weight, stride, top, left, out):
    """One image's gradient of the input, ``out [height, width, channels]``, a row at a time."""
    rows, columns, channels = weight.shape
    height, width, _ = out.shape
    high, wide, _ = slope.shape
    sums = np.zeros((max((wide - 1) * stride + columns, left + width), channels), np.float32)
    for r in range(height):
        sums[:] = f32(0)
        for i in range(rows):
            y = (r + top - i) // stride
            if y < 0 or y >= high or y * stride + i != r + top:
                continue
            for x in range(wide):
                given = slope[y, x]
                for j in range(columns):
                    target, tap = sums[x * stride + j], weight[i, j]
                    for c in range(channels):
                        target[c] += as_float(given[c]) * tap[c]
        for q in range(width):
            source, target = sums[left + q], out[r, q]
            for c in range(channels):
                target[c] = as_stored(source[c], target[c])
