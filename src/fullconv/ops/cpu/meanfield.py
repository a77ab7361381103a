"""One step of mean field: messages to probabilities."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import LOG2E, exp2, kernel

LANES = 8


@kernel
def update(unary, messages, norms, weights, begin, end, probabilities):
    """Softmax of ``unary + sum of weights[m] * norms[m] * messages[m]`` over the channels of each pixel.

    Args:
        unary: logarithms ``[pixels, channels]``; padding channels hold a large negative number.
        messages: two arrays ``[pixels, channels]``.
        norms: ``[2, pixels]``.
        weights: ``[2]``.
        probabilities: result.
    """
    first, second = messages
    channels = unary.shape[1]
    for i in range(begin, end):
        row = probabilities[i]
        a, b = weights[0] * norms[0, i], weights[1] * norms[1, i]
        for block in range(0, channels, LANES):
            for k in range(LANES):
                row[block + k] = unary[i, block + k] + a * first[i, block + k] + b * second[i, block + k]
        largest = row[0]
        for k in range(1, channels):
            largest = max(largest, row[k])
        for block in range(0, channels, LANES):
            for k in range(LANES):
                row[block + k] = exp2((row[block + k] - largest) * LOG2E)
        total = np.float32(0)
        for k in range(channels):
            total += row[k]
        for block in range(0, channels, LANES):
            for k in range(LANES):
                row[block + k] /= total


@kernel
def scaled(values, factors, begin, end, out):
    """``values[i, c] * factors[i]``."""
    for i in range(begin, end):
        for block in range(0, values.shape[1], LANES):
            for k in range(LANES):
                out[i, block + k] = factors[i] * values[i, block + k]
