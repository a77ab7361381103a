"""How pixels are laid out for the kernels: in lanes, so that bilinear interpolation needs no gathering.

Pixels between the same coarse places are interpolated from the same values, only with other fractions. So the
pixels of a row are ordered by *phase*: lane ``phase * block + cell`` holds the ``phase``-th pixel of its coarse
cell (the pixels nearest to that place), left half first. All lanes of a phase then read contiguous coarse values:
``(cell - 1, cell)`` for phases of the left half, ``(cell, cell + 1)`` for the others. Any ratio fits, whole or
not: lanes without a pixel are marked -1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fullconv.geometry import Window
from fullconv.ops.bilinear import places

VECTOR = 16
CACHE_BYTES = 800 << 10
LARGEST_BLOCK = 128


class Grid(NamedTuple):
    """Rows and lanes of one window.

    Attributes:
        first_interval: of the rows; interval ``r`` lies between coarse rows ``r - 1`` and ``r``, clamped.
        row_start: output rows of interval ``i`` are ``row_start[i]`` to ``row_start[i + 1]``.
        row_fraction: ``[H]``, how far each output row lies from the upper to the lower coarse row.
        first_cell: the leftmost coarse cell used.
        block: cells per block.
        left: how many phases lie left of their place.
        fraction: ``[blocks, phases * block]``, how far each lane's pixel lies from the left to the right value.
        pixel: ``[blocks, phases * block]``, each lane's output column, -1 for none.
    """

    first_interval: int
    row_start: np.ndarray
    row_fraction: np.ndarray
    first_cell: int
    block: int
    left: int
    fraction: np.ndarray
    pixel: np.ndarray


def make_grid(classes: int, coarse: tuple[int, int], size: tuple[int, int], window: Window, align: bool) -> Grid:
    """Lay out an image of ``size`` in coarse logits of ``classes`` channels."""
    vertical = np.clip(places(coarse[0], size[0], window.top, window.height, align), -0.5, coarse[0] - 0.5)
    interval = np.floor(vertical).astype(np.int64) + 1
    first, last = int(interval[0]), int(interval[-1])
    row_start = np.searchsorted(interval, np.arange(first, last + 2)).astype(np.int32)
    row_fraction = (vertical - np.floor(vertical)).astype(np.float32)

    horizontal = places(coarse[1], size[1], window.left, window.width, align)
    horizontal = np.clip(horizontal, -0.5, coarse[1] - 0.5)
    cell = np.clip(np.floor(horizontal + 0.5).astype(np.int64), 0, coarse[1] - 1)
    is_left = horizontal < cell
    phase = _rank_in_group(2 * cell + ~is_left)
    left = int(phase[is_left].max() + 1) if is_left.any() else 0
    right = int(phase[~is_left].max() + 1) if (~is_left).any() else 0
    phase = np.where(is_left, phase, left + phase)
    cells = int(cell[-1] - cell[0]) + 1
    block = _block(cells, left + right, classes)
    place_in = cell - cell[0]
    shape = (-(-cells // block), left + right, block)
    fraction, pixel = np.full(shape, 0.5, np.float32), np.full(shape, -1, np.int32)
    lane = (place_in // block, phase, place_in % block)
    fraction[lane] = np.where(is_left, horizontal - (cell - 1), horizontal - cell)
    pixel[lane] = np.arange(size[1])
    lanes = (shape[0], shape[1] * shape[2])
    return Grid(
        first, row_start, row_fraction, int(cell[0]), block, left, fraction.reshape(lanes), pixel.reshape(lanes)
    )


def _rank_in_group(key: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each run of equal keys (they are sorted already)."""
    return np.arange(len(key)) - np.searchsorted(key, key)


def _block(cells: int, phases: int, classes: int) -> int:
    """Cells worked on at once: a multiple of the vector, as many as the cache holds for all classes."""
    per_cell = 5 * 4 * classes * phases
    fits = max(VECTOR, min(CACHE_BYTES // per_cell, LARGEST_BLOCK) // VECTOR * VECTOR)
    blocks = -(-cells // fits)
    return -(-cells // (blocks * VECTOR)) * VECTOR
