"""The permutohedral lattice: Gaussian filtering in five dimensions, in time linear in the number of pixels.

Every pixel lies in a simplex of a lattice and spreads its values over the six corners; the corners are blurred along
each of the six directions of the lattice; every pixel reads its corners again.

Source: Adams, Baek, Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from fullconv.errors import UsageError
from fullconv.ops.cpu.lattice_passes import CORNERS, DIMENSIONS, LANES, blur, invert, read, spread
from fullconv.ops.cpu.maths import kernel
from fullconv.ops.cpu.threads import run_all

TASKS = 8
PAPER = np.array([2, 1], np.float32) / 4  # the blur's taps: in the middle, one step away, two
FINE = np.array([6, 4, 1], np.float32) / 16
GROWTH = 4  # lattice points with their neighbours, for each without: 3.2 on photographs
MOST_POINTS = 2


class Lattice:
    """A Gaussian filter between points in five dimensions, of standard deviation 1 in each.

    A finer lattice than the paper's, with a wider blur and with the empty neighbours of its points, halves the error;
    where that would be more than :data:`MOST_POINTS` lattice points for each point, it is the paper's.

    Args:
        features: float32 ``[points, 5]``.

    Raises:
        UsageError: the points lie so far apart, in standard deviations, that their places cannot be numbered.
    """

    def __init__(self, features: np.ndarray) -> None:
        features = np.ascontiguousarray(features, np.float32)
        count = len(features)
        keys, strides, table = self._number(features, FINE)
        self.taps = FINE
        if GROWTH * len(keys) > MOST_POINTS * count:
            keys, strides, table = self._number(features, PAPER)
            self.taps = PAPER
        else:
            table = np.full((1 << int(2 * GROWTH * len(keys)).bit_length(), 2), -1, np.int64)
            keys, number = with_neighbours(keys, strides, table)
            self.corners = number[self.corners]
        self.neighbours = np.empty((CORNERS, len(keys), 2 * (len(self.taps) - 1)), np.int32)
        run_all(find_neighbours, [(keys, strides, table, a, b, self.neighbours) for a, b in _cuts(len(keys))])
        self._kept: np.ndarray | None = None
        # per lattice point, who spreads into it: gathering needs no locks
        self.starts, self.points, self.shares = invert(self.corners, self.weights, len(keys))

    def _number(self, features: np.ndarray, taps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Corners and weights of each point in the lattice that goes with the taps; its numbering."""
        count = len(features)
        # variances in units of the lattice (section 3.2): 1/6 of spreading and reading, the blur's own, 2/3 in all
        variance = 2 * sum(tap * k * k for k, tap in enumerate(taps.tolist()))
        scale = np.float32(np.sqrt((variance + 1 / 6) / (2 / 3)))
        places = np.empty((count, CORNERS), np.int32)  # the lattice point of remainder 0 in all six coordinates
        ranks = np.empty((count, CORNERS), np.int8)
        self.weights = np.empty((count, CORNERS), np.float32)
        run_all(locate, [(features, scale, a, b, places, ranks, self.weights) for a, b in _cuts(count)])
        # a lattice point's number is made of its first five coordinates, with room for neighbours of neighbours
        room = (len(taps) + 1) * CORNERS
        low = places[:, :DIMENSIONS].min(0).astype(np.int64) - room
        span = [int(high - least + 1 + room) for high, least in zip(places.max(0), low, strict=False)]
        if math.prod(span) >= 2**63:
            raise UsageError("the image is too large for so small deviations of position and colour; enlarge them")
        strides = np.array([math.prod(span[:k]) for k in range(DIMENSIONS)], np.int64)
        table = np.full((1 << max(8, int(count * CORNERS).bit_length()), 2), -1, np.int64)
        self.corners = np.empty((count, CORNERS), np.int32)
        return number_corners(places, ranks, low, strides, table, self.corners), strides, table

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Each point's sum of all values times the Gaussian to them, up to one factor common to all points.

        Args:
            values: float32 ``[points, channels]``, channels a multiple of :data:`LANES`.
        """
        count = len(self.starts) - 1
        one, other = self._buffers(values.shape[1])
        cuts = _cuts(count)
        run_all(spread, [(values, self.starts, self.points, self.shares, a, b, one) for a, b in cuts])
        for direction in range(CORNERS):
            run_all(blur, [(one, self.neighbours[direction], self.taps, a, b, other) for a, b in cuts])
            one, other = other, one
        result = np.empty_like(values)
        run_all(read, [(one, self.corners, self.weights, a, b, result) for a, b in _cuts(len(values))])
        return result

    def _buffers(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Two arrays for the lattice's values; kept, because fresh memory costs as much as a pass."""
        if self._kept is None or self._kept.shape[2] != channels:
            self._kept = np.empty((2, len(self.starts) - 1, channels), np.float32)
        return self._kept[0], self._kept[1]


def filter_all(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A lattice for each image, side by side.

    Args:
        features: float32 ``[images, points, 5]``.
        values: float32 ``[images, points, channels]``.

    Returns:
        As ``values``; the factor of :meth:`Lattice.filter` is the image's own.
    """
    count = values.shape[2]
    padded = np.zeros((*values.shape[:2], -(-count // LANES) * LANES), np.float32)
    padded[:, :, :count] = values
    results = run_all(lambda points, sent: Lattice(points).filter(sent), zip(features, padded, strict=True))
    return np.stack([result[:, :count] for result in results])


def _cuts(count: int) -> list[tuple[int, int]]:
    edges = [round(k * count / TASKS) for k in range(TASKS + 1)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


@kernel
def locate(features, factor, begin, end, places, ranks, weights):
    """The simplex of each point (section 3.1): its lattice point of remainder 0, the order, barycentric weights."""
    elevated = np.empty(CORNERS, np.float32)
    barycentric = np.empty(CORNERS + 1, np.float32)
    scale = np.empty(DIMENSIONS, np.float32)
    for k in range(DIMENSIONS):
        scale[k] = factor * CORNERS * np.sqrt(2.0 / 3.0) / np.sqrt((k + 1.0) * (k + 2.0))
    for i in range(begin, end):
        total = np.float32(0)
        for k in range(DIMENSIONS, 0, -1):
            coordinate = features[i, k - 1] * scale[k - 1]
            elevated[k] = total - np.float32(k) * coordinate
            total += coordinate
        elevated[0] = total
        remainder = 0
        for k in range(CORNERS):
            nearest = np.int32(np.floor(elevated[k] / np.float32(CORNERS) + np.float32(0.5)))
            places[i, k] = nearest * CORNERS
            remainder += nearest
        for k in range(CORNERS):
            ranks[i, k] = 0
        for j in range(CORNERS):
            for k in range(j + 1, CORNERS):
                if elevated[j] - places[i, j] < elevated[k] - places[i, k]:
                    ranks[i, j] += 1
                else:
                    ranks[i, k] += 1
        for k in range(CORNERS):
            rank = ranks[i, k] + remainder
            if rank < 0:
                rank += CORNERS
                places[i, k] += CORNERS
            elif rank > DIMENSIONS:
                rank -= CORNERS
                places[i, k] -= CORNERS
            ranks[i, k] = rank
        barycentric[:] = 0
        for k in range(CORNERS):
            offset = (elevated[k] - places[i, k]) / np.float32(CORNERS)
            barycentric[DIMENSIONS - ranks[i, k]] += offset
            barycentric[CORNERS - ranks[i, k]] -= offset
        barycentric[0] += np.float32(1) + barycentric[CORNERS]
        for k in range(CORNERS):
            weights[i, k] = barycentric[k]


@kernel
def number_corners(places, ranks, low, strides, table, corners):
    """Number the lattice points by first use; returns their keys."""
    mask = table.shape[0] - 1
    keys = np.empty(corners.size, np.int64)
    count = 0
    for i in range(places.shape[0]):
        for remainder in range(CORNERS):
            key = np.int64(0)
            for k in range(DIMENSIONS):
                step = remainder if ranks[i, k] <= DIMENSIONS - remainder else remainder - CORNERS
                key += (places[i, k] + step - low[k]) * strides[k]
            slot = find(table, key, mask)
            if table[slot, 0] < 0:
                table[slot, 0], table[slot, 1] = key, count
                keys[count] = key
                count += 1
            corners[i, remainder] = table[slot, 1]
    return keys[:count].copy()


@kernel
def find(table, key, mask):
    """The slot that holds the key, or the free one where it belongs."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(32)) & mask
    while table[slot, 0] >= 0 and table[slot, 0] != key:
        slot = (slot + 1) & mask
    return slot


@kernel
def with_neighbours(keys, strides, table):
    """Number the keys and their neighbours in the empty table, near ones together, neighbours as many as fit.

    Returns all keys, and the new number of each old one.
    """
    mask = table.shape[0] - 1
    found = np.empty(table.shape[0] // 2, np.int64)
    number = np.empty(len(keys), np.int32)
    count = 0
    for v in range(len(keys)):
        for direction in range(-1, 2 * CORNERS):
            key = keys[v]
            if direction >= 0:
                key += direction_step(direction // 2, strides) * (1 - 2 * (direction % 2))
            slot = find(table, key, mask)
            if table[slot, 0] < 0 and (direction < 0 or count < len(found) - len(keys)):
                table[slot, 0], table[slot, 1] = key, count
                found[count] = key
                count += 1
            if direction < 0:
                number[v] = table[slot, 1]
    return found[:count].copy(), number


@kernel
def direction_step(direction, strides):
    """What one step along a direction of the lattice adds to a key: 1 to all coordinates, 5 off its own."""
    step = strides.sum()
    return step - CORNERS * strides[direction] if direction < DIMENSIONS else step


@kernel
def find_neighbours(keys, strides, table, begin, end, neighbours):
    """The neighbours of each lattice point along each direction, one step and two steps away on both sides; or -1."""
    mask = table.shape[0] - 1
    for direction in range(CORNERS):
        step = direction_step(direction, strides)
        for v in range(begin, end):
            for side in range(neighbours.shape[2]):
                away = (side // 2 + 1) * (1 - 2 * (side % 2))
                neighbours[direction, v, side] = table[find(table, keys[v] + away * step, mask), 1]
