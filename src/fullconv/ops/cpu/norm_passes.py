"""The passes over a map of :mod:`fullconv.ops.cpu.norm`, which says what they compute."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import as_float, as_stored, f32, kernel


@kernel
def _moments(x, shift, out):
    """``out [2, columns]``: sums over the rows of ``x - shift`` and of its square."""
    total, square = np.zeros(shift.shape[0], np.float32), np.zeros(shift.shape[0], np.float32)
    fours = x.shape[0] // 4 * 4
    for r in range(0, fours, 4):
        a, b, c, d = x[r], x[r + 1], x[r + 2], x[r + 3]
        for k in range(total.shape[0]):
            p, q = as_float(a[k]) - shift[k], as_float(b[k]) - shift[k]
            u, v = as_float(c[k]) - shift[k], as_float(d[k]) - shift[k]
            total[k] += (p + q) + (u + v)
            square[k] += (p * p + q * q) + (u * u + v * v)
    for r in range(fours, x.shape[0]):
        a = x[r]
        for k in range(total.shape[0]):
            p = as_float(a[k]) - shift[k]
            total[k] += p
            square[k] += p * p
    out[0] = total
    out[1] = square


@kernel
def moments_task(edges, first, last, x, shift, out):
    """Of the parts ``first`` to ``last - 1``, whose rows ``edges`` cut: :func:`_moments`."""
    for part in range(first, last):
        _moments(x[edges[part] : edges[part + 1]], shift, out[part])


@kernel
def apply_task(x, scale, offset, low, high, y):
    """``y = clip(scale * x + offset)``; nan stays nan."""
    for r in range(x.shape[0]):
        source, target = x[r], y[r]
        for k in range(source.shape[0]):
            z = as_float(source[k]) * scale[k] + offset[k]
            z = low if z < low else z
            z = high if z > high else z
            target[k] = as_stored(z, target[k])


@kernel
def _slopes(x, dy, scale, offset, mean, low, high, out):
    """``out [2, columns]``: sums over the rows of ``dz`` and of ``dz * (x - mean)``."""
    total, product = np.zeros(scale.shape[0], np.float32), np.zeros(scale.shape[0], np.float32)
    twos = x.shape[0] // 2 * 2
    for r in range(0, twos, 2):
        a, b, da, db = x[r], x[r + 1], dy[r], dy[r + 1]
        for k in range(total.shape[0]):
            p, q = as_float(a[k]), as_float(b[k])
            y, z = p * scale[k] + offset[k], q * scale[k] + offset[k]
            dp = f32(0) if y <= low or y >= high else as_float(da[k])
            dq = f32(0) if z <= low or z >= high else as_float(db[k])
            total[k] += dp + dq
            product[k] += dp * (p - mean[k]) + dq * (q - mean[k])
    for r in range(twos, x.shape[0]):
        a, da = x[r], dy[r]
        for k in range(total.shape[0]):
            p = as_float(a[k])
            y = p * scale[k] + offset[k]
            dp = f32(0) if y <= low or y >= high else as_float(da[k])
            total[k] += dp
            product[k] += dp * (p - mean[k])
    out[0] = total
    out[1] = product


@kernel
def slopes_task(edges, first, last, x, dy, scale, offset, mean, low, high, out):
    """Of the parts ``first`` to ``last - 1``, whose rows ``edges`` cut: :func:`_slopes`."""
    for part in range(first, last):
        rows = slice(edges[part], edges[part + 1])
        _slopes(x[rows], dy[rows], scale, offset, mean, low, high, out[part])


@kernel
def input_task(x, dy, scale, offset, by_x, constant, low, high, dx):
    """``dx = scale * dz - by_x * x - constant``."""
    for r in range(x.shape[0]):
        source, slope, target = x[r], dy[r], dx[r]
        for k in range(source.shape[0]):
            p = as_float(source[k])
            y = p * scale[k] + offset[k]
            dz = f32(0) if y <= low or y >= high else as_float(slope[k])
            target[k] = as_stored(scale[k] * dz - by_x[k] * p - constant[k], target[k])
