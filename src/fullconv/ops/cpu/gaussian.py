"""Gaussian smoothing of maps whose channels lie together in memory, by rows and then by columns."""

from __future__ import annotations

import itertools

import numpy as np

from fullconv.ops.cpu.maths import kernel
from fullconv.ops.cpu.threads import run_all

CUT = 5  # standard deviations; what lies beyond is less than 1e-6 of the sum
PIECE = 1024  # floats of a row at a time, so that the rows above and below stay in the cache
ROWS = 8


def smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Float32 ``[height, width, channels]`` -> the sum of all values times ``exp(-distance^2 / (2 deviation^2))``.

    Nothing is added for pixels outside the image, nothing is normalised.
    """
    height, width, channels = values.shape
    radius = int(np.ceil(CUT * deviation))
    taps = np.exp(-0.5 * (np.arange(radius + 1) / deviation) ** 2).astype(np.float32)
    flat = values.reshape(height, width * channels)
    rows, result = np.empty_like(flat), np.empty_like(flat)
    cuts = list(itertools.pairwise([*range(0, height, ROWS), height]))
    run_all(along_rows, [(flat, taps, channels, a, b, rows) for a, b in cuts])
    run_all(along_columns, [(rows, taps, a, b, result) for a, b in cuts])
    return result.reshape(values.shape)


@kernel
def along_rows(values, taps, channels, begin, end, out):
    radius, length = len(taps) - 1, values.shape[1]
    padded = np.zeros(length + 2 * radius * channels, np.float32)
    middle = radius * channels
    for row in range(begin, end):
        padded[middle : middle + length] = values[row]
        for first in range(0, length, PIECE):
            count = min(PIECE, length - first)
            target, source = out[row, first : first + count], padded[first + middle : first + middle + count]
            for i in range(count):
                target[i] = taps[0] * source[i]
            for tap in range(1, len(taps)):
                weight, away = taps[tap], tap * channels
                before = padded[first + middle - away : first + middle - away + count]
                after = padded[first + middle + away : first + middle + away + count]
                for i in range(count):
                    target[i] += weight * (before[i] + after[i])


@kernel
def along_columns(values, taps, begin, end, out):
    height, length = values.shape
    nothing = np.zeros(PIECE, np.float32)
    for first in range(0, length, PIECE):
        count = min(PIECE, length - first)
        for row in range(begin, end):
            target, source = out[row, first : first + count], values[row, first : first + count]
            for i in range(count):
                target[i] = taps[0] * source[i]
            for tap in range(1, len(taps)):
                weight = taps[tap]
                before = values[row - tap, first : first + count] if row >= tap else nothing[:count]
                after = values[row + tap, first : first + count] if row + tap < height else nothing[:count]
                for i in range(count):
                    target[i] += weight * (before[i] + after[i])
