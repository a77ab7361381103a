"""Batch norm in training, and what clips its result, in one pass over a map stored channels last, bf16 or float32.

With mean ``m`` and variance ``v`` of each channel, ``s = weight / sqrt(v + eps)`` and ``z = s * (x - m) + bias``:

    y = clip(z, low, high)
    dz = dy where low < y < high, else 0
    d_bias = sum dz        d_weight = sum dz * (x - m) / sqrt(v + eps)
    dx = s * (dz - (d_bias + (x - m) / sqrt(v + eps) * d_weight) / places)

A map is seen as a matrix whose rows hold several places where there are few channels, so that a row fills the
registers. Sums are float32 within a part of the rows, of values less those of one place, and float64 over the parts;
the parts follow from the shape alone, so that results do not depend on the number of threads, which share them.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fullconv.ops.cpu.norm_passes import apply_task, input_task, moments_task, slopes_task
from fullconv.ops.cpu.threads import run_all

PARTS = 32
FEWEST = 1 << 15  # numbers of a part
ROW = 512  # numbers that a row of several places has at most


class Moments(NamedTuple):
    """Of each channel, float64 ``[c]``; the variance divides by the number of places."""

    mean: np.ndarray
    variance: np.ndarray


def normalise(
    x: Tensor, weight: np.ndarray, bias: np.ndarray, eps: float, low: float, high: float
) -> tuple[Tensor, Moments]:
    """Batch norm of ``x [n, c, h, w]``, stored channels last, clipped to ``low`` and ``high`` (infinite: not).

    Args:
        weight, bias: float64 ``[c]``.
    """
    matrix = _matrix(x)
    shift = x[0, :, 0, 0].double().numpy()
    total, square = _sums(moments_task, (matrix,), x.shape[1], (_repeat(shift, matrix),))
    places = x.numel() // x.shape[1]
    mean = shift + total / places
    variance = np.maximum(square / places - np.square(total / places), 0)
    scale = weight / np.sqrt(variance + eps)
    y = torch.empty(x.shape, dtype=x.dtype, memory_format=torch.channels_last)
    told = _repeat(scale, matrix), _repeat(bias - mean * scale, matrix), np.float32(low), np.float32(high)
    target = _matrix(y)
    run_all(apply_task, [(matrix[a:b], *told, target[a:b]) for a, b in _shares(len(matrix))])
    return y, Moments(mean, variance)


def gradients(
    x: Tensor, dy: Tensor, weight: np.ndarray, bias: np.ndarray, found: Moments, eps: float, low: float, high: float
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Of ``x`` (stored as it is), of the weights and of the bias (float64).

    Args:
        dy: the gradient of the result, stored as ``x`` is.
        found: as :func:`normalise` gave it.
    """
    matrix, slopes = _matrix(x), _matrix(dy)
    inverse = 1 / np.sqrt(found.variance + eps)
    scale = weight * inverse
    given = _repeat(scale, matrix), _repeat(bias - found.mean * scale, matrix)
    ends = _strictly_within(low, high, x.dtype)
    mean = _repeat(found.mean, matrix)
    d_bias, product = _sums(slopes_task, (matrix, slopes), x.shape[1], (*given, mean, *ends))
    places = x.numel() // x.shape[1]
    d_weight = product * inverse
    by_x = scale * inverse * d_weight / places
    told = *given, _repeat(by_x, matrix), _repeat(scale * d_bias / places - by_x * found.mean, matrix), *ends
    dx = torch.empty(x.shape, dtype=x.dtype, memory_format=torch.channels_last)
    target = _matrix(dx)
    run_all(input_task, [(matrix[a:b], slopes[a:b], *told, target[a:b]) for a, b in _shares(len(matrix))])
    return dx, d_weight, d_bias


def _sums(
    task: Any, matrices: tuple[np.ndarray, ...], channels: int, told: tuple[object, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """float64 ``[channels]``, both: what ``task`` sums over all rows, and over the places that a row holds."""
    rows, columns = matrices[0].shape
    count = max(1, min(PARTS, rows * columns // FEWEST, rows))
    edges = np.arange(count + 1) * rows // count
    out = np.empty((count, 2, columns), np.float32)
    run_all(task, [(edges, first, last, *matrices, *told, out) for first, last in _shares(count)])
    first, second = out.sum(0, dtype=np.float64).reshape(2, -1, channels).sum(1)
    return first, second


def _shares(count: int) -> list[tuple[int, int]]:
    """The first and the end of each thread's share: a task costs as much as ten thousand numbers."""
    threads = min(count, torch.get_num_threads())
    return list(itertools.pairwise(count * thread // threads for thread in range(threads + 1)))


def _strictly_within(low: float, high: float, dtype: torch.dtype) -> tuple[np.float32, np.float32]:
    """The ends between which a value, rounded as it is stored, lies strictly between ``low`` and ``high``.

    Both are 0, infinite or 6, whose last digit in bf16 is even: half a step below, a value is rounded up to it.
    """
    step = 2.0**-5 if dtype == torch.bfloat16 and high == 6 else 0.0
    return np.float32(low), np.float32(high - step / 2)


def _matrix(x: Tensor) -> np.ndarray:
    """The numbers as they are stored, ``[rows, columns]``: a row is one place, or as many as fit into :data:`ROW`."""
    last = x.detach().permute(0, 2, 3, 1)
    stored = last.view(torch.int16) if last.dtype == torch.bfloat16 else last
    channels, places = x.shape[1], x.numel() // x.shape[1]
    together = 1
    while places % (2 * together) == 0 and 2 * together * channels <= ROW:
        together *= 2
    matrix: np.ndarray = stored.numpy().reshape(places // together, together * channels)
    return matrix


def _repeat(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """float32, once for each place of a row."""
    return np.tile(values.astype(np.float32), matrix.shape[1] // len(values))
