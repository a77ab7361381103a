"""The passes of a filter on the lattice: values spread over its points, blurred along each direction, read again."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import kernel

DIMENSIONS = 5
CORNERS = DIMENSIONS + 1
LANES = 8  # channels are padded to whole vectors of so many float32


@kernel
def invert(corners, weights, count):
    """``(starts, points, shares)``: the points around lattice point v are ``points[starts[v]:starts[v + 1]]``."""
    starts = np.zeros(count + 1, np.int64)
    for i in range(corners.shape[0]):
        for k in range(CORNERS):
            starts[corners[i, k] + 1] += 1
    for v in range(count):
        starts[v + 1] += starts[v]
    following = starts[:-1].copy()
    points = np.empty(corners.size, np.int32)
    shares = np.empty(corners.size, np.float32)
    for i in range(corners.shape[0]):
        for k in range(CORNERS):
            v = corners[i, k]
            points[following[v]], shares[following[v]] = i, weights[i, k]
            following[v] += 1
    return starts, points, shares


@kernel
def spread(values, starts, points, shares, begin, end, out):
    for v in range(begin, end):
        for block in range(0, values.shape[1], LANES):
            for k in range(LANES):
                out[v, block + k] = 0
        for j in range(starts[v], starts[v + 1]):
            point, share = points[j], shares[j]
            for block in range(0, values.shape[1], LANES):
                for k in range(LANES):
                    out[v, block + k] += share * values[point, block + k]


@kernel
def blur(values, neighbours, taps, begin, end, out):
    """The taps along one direction; where no lattice point is, there is nothing to add."""
    for v in range(begin, end):
        for block in range(0, values.shape[1], LANES):
            for k in range(LANES):
                out[v, block + k] = taps[0] * values[v, block + k]
        for side in range(neighbours.shape[1]):
            other, tap = neighbours[v, side], taps[side // 2 + 1]
            if other >= 0:
                for block in range(0, values.shape[1], LANES):
                    for k in range(LANES):
                        out[v, block + k] += tap * values[other, block + k]


@kernel
def read(values, corners, weights, begin, end, out):
    for i in range(begin, end):
        for block in range(0, values.shape[1], LANES):
            for k in range(LANES):
                out[i, block + k] = 0
        for corner in range(CORNERS):
            v, weight = corners[i, corner], weights[i, corner]
            for block in range(0, values.shape[1], LANES):
                for k in range(LANES):
                    out[i, block + k] += weight * values[v, block + k]
