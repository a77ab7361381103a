"""The kernels on tensors: what :mod:`fullconv.ops.backend` calls for the processor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import strips
from fullconv.ops.cpu.argmax import argmax_task
from fullconv.ops.cpu.counts import BYTE, count_any, count_bytes, within
from fullconv.ops.cpu.grid import Grid, make_grid
from fullconv.ops.cpu.overlap import overlap_task
from fullconv.ops.cpu.softmax import softmax_task
from fullconv.ops.cpu.threads import run_all
from fullconv.ops.terms import SoftmaxSums, SoftmaxTerms, bad_label

FEWEST_INTERVALS = 4
TASKS = 32
COPIED = 32 << 20  # bytes of scores turned to float32 at a time
FEWEST_COUNTED = 1 << 21  # bytes; waking a thread costs more than counting them


def softmax_sums(logits: Tensor, labels: Tensor, terms: SoftmaxTerms) -> SoftmaxSums:
    """As :func:`fullconv.ops.reference.softmax_sums`."""
    if _has_strange(logits):
        return strips.softmax_sums(logits, labels, terms)
    truth = labels.numpy()
    images, classes, _, width = logits.shape
    grid = _grid(logits, truth.shape[1:], terms.window, terms.align_corners)
    weight = np.ones(classes, np.float32) if terms.weight is None else terms.weight.float().contiguous().numpy()
    gradient = np.zeros(logits.shape if terms.gradient else (images, 0, 0, 0), np.float32)
    maps = np.zeros(truth.shape if terms.pixel_losses else (images, 0, 0), np.float32)
    parts = _parts(images, grid)
    edges = [np.zeros((classes if terms.gradient else 0, 1, width), np.float32) for _ in parts]
    results = []
    for first, scores in _as_float(logits):
        chosen = [pair for pair in zip(parts, edges, strict=True) if first <= pair[0][0] < first + len(scores)]
        results += run_all(
            softmax_task,
            [
                (
                    scores[i - first], truth[i], weight, terms.ignore_index, terms.label_smoothing, terms.gamma, *grid,
                    begin, end, gradient[i], edge, maps[i],
                )
                for (i, begin, end), edge in chosen
            ],
        )  # fmt: skip
    for (image, *_), (*_, row, column) in zip(parts, results, strict=True):
        if row >= 0:
            raise bad_label(int(truth[image, row, column]), image, row, column, classes, terms.ignore_index)
    if terms.gradient:
        for (image, begin, _), edge in zip(parts, edges, strict=True):
            gradient[image, :, max(grid.first_interval + begin - 1, 0)] += edge[:, 0]
    return SoftmaxSums(
        torch.tensor(sum(result[0] for result in results), dtype=torch.float64),
        torch.tensor(sum(result[1] for result in results), dtype=torch.float64),
        torch.from_numpy(gradient) if terms.gradient else None,
        torch.from_numpy(maps) if terms.pixel_losses else None,
    )


def overlap_sums(
    logits: Tensor, labels: Tensor, ignore_index: int, window: Window, align_corners: bool
) -> Tensor | None:
    """``sum(p t)``, ``sum(p)`` and ``sum(t)`` of each class over all pixels that count, float64 ``[3, c]``.

    None where scores are not finite.

    Args:
        logits: float32, contiguous.
        labels: ids of classes, and what is ignored.
    """
    if _has_strange(logits):
        return None
    nothing = np.zeros(logits.shape[1], np.float32)
    none = np.zeros((logits.shape[0], 0, 0, 0), np.float32)
    grid = _grid(logits, labels.shape[1:], window, align_corners)
    found, _ = _overlap(logits, labels, ignore_index, grid, nothing, nothing, none)
    return torch.from_numpy(found.sum(0))


def overlap_gradient(
    logits: Tensor, labels: Tensor, ignore_index: int, window: Window, align_corners: bool, slopes: Tensor
) -> Tensor | None:
    """Of the coarse logits, float32: what the slopes with respect to the sums give, ``[2 or more, c]``.

    None where scores are not finite.

    Args:
        logits, labels, ignore_index, window, align_corners: as :func:`overlap_sums` took them.
    """
    if _has_strange(logits):
        return None
    grid = _grid(logits, labels.shape[1:], window, align_corners)
    gradient = np.zeros(logits.shape, np.float32)
    shared, guessed = (row.float().contiguous().numpy() for row in slopes[:2])
    _, edges = _overlap(logits, labels, ignore_index, grid, shared, guessed, gradient)
    for (image, begin, _), edge in zip(_parts(len(logits), grid), edges, strict=True):
        gradient[image, :, max(grid.first_interval + begin - 1, 0)] += edge[:, 0]
    return torch.from_numpy(gradient)


def _overlap(
    logits: Tensor, labels: Tensor, ignore_index: int, grid: Grid, shared: np.ndarray, guessed: np.ndarray,
    gradient: np.ndarray,
) -> tuple[np.ndarray, list[np.ndarray]]:  # fmt: skip
    """The sums of each task, ``[tasks, 3, c]``, and the first coarse row of its gradient."""
    scores, truth = logits.numpy(), labels.numpy()
    images, classes, _, width = scores.shape
    parts = _parts(images, grid)
    sums = np.zeros((len(parts), 3, classes))
    edges = [np.zeros((gradient.shape[1], 1, width), np.float32) for _ in parts]
    run_all(
        overlap_task,
        [
            (scores[i], truth[i], ignore_index, shared, guessed, *grid, begin, end, gradient[i], edge, found)
            for (i, begin, end), edge, found in zip(parts, edges, sums, strict=True)
        ],
    )
    return sums, edges


def argmax(
    logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool, confidence: bool
) -> tuple[Tensor, Tensor | None]:
    """As :func:`fullconv.ops.reference.argmax`."""
    if _has_strange(logits):
        return strips.argmax(logits, size, window, align_corners, confidence)
    labels, sure, _ = _argmax(logits, size, window, align_corners, confidence, False)
    return labels, sure if confidence else None


def entropy(logits: Tensor, size: tuple[int, int], window: Window) -> Tensor:
    """As :func:`fullconv.ops.strips.entropy`."""
    if _has_strange(logits):
        return strips.entropy(logits, size, window)
    return _argmax(logits, size, window, False, False, True)[2] / math.log2(logits.shape[1])


def _argmax(
    logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool, confidence: bool, entropy: bool
) -> tuple[Tensor, Tensor, Tensor]:
    images, classes = logits.shape[:2]
    grid = _grid(logits, size, window, align_corners)
    labels = np.empty((images, *size), np.uint8 if classes <= 256 else np.int32)
    sure, bits = (np.empty((images, *size) if asked else (images, 0, 0), np.float32) for asked in (confidence, entropy))
    parts = _parts(images, grid)
    for first, scores in _as_float(logits):
        chosen = [part for part in parts if first <= part[0] < first + len(scores)]
        tasks = [(scores[i - first], *grid, begin, end, labels[i], sure[i], bits[i]) for i, begin, end in chosen]
        run_all(argmax_task, tasks)
    return torch.from_numpy(labels), torch.from_numpy(sure), torch.from_numpy(bits)


def confusion(prediction: Tensor, target: Tensor, classes: int, ignore_index: int) -> tuple[Tensor, list[int]]:
    """As :func:`fullconv.ops.reference.confusion`."""
    guess, truth = prediction.reshape(-1).contiguous().numpy(), target.reshape(-1).contiguous().numpy()
    if guess.dtype == truth.dtype == np.uint8 and classes < BYTE:
        table = _count_bytes(guess, truth, classes, ignore_index)
        if table is not None:
            return torch.from_numpy(table), [0, 0, 0, 0]
    results = run_all(count_any, [(*part, classes, ignore_index) for part in _shared(guess, truth)])
    counts = torch.from_numpy(sum(result[0] for result in results))
    outside = [sum(result[1] for result in results), 0, sum(result[3] for result in results), 0]
    for result in results:
        outside[1] = result[2] if result[1] else outside[1]
        outside[3] = result[4] if result[3] else outside[3]
    return counts, outside


def _has_strange(logits: Tensor) -> bool:
    """Whether nan or infinity is among the scores (or their sum overflows).

    PyTorch's interpolation multiplies them by 0 where a pixel lies on a place; the kernels do not read there.
    """
    return not bool(logits.sum(dtype=torch.float32).isfinite())


def _shared(guess: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pixels in as many parts as there are threads, none of them small."""
    step = max(FEWEST_COUNTED // truth.itemsize, -(-len(truth) // torch.get_num_threads()))
    return [(guess[a : a + step], truth[a : a + step]) for a in range(0, max(len(truth), 1), step)]


def _count_bytes(guess: np.ndarray, truth: np.ndarray, classes: int, ignore_index: int) -> np.ndarray | None:
    """The counts, or None if an id lies outside the classes.

    What is no class is counted in one more row and column, what is ignored in a row after that.
    """
    rows, columns, width = _places(classes, ignore_index)
    even = len(truth) // 8 * 8
    words = _shared(guess[:even].view(np.uint64), truth[:even].view(np.uint64))
    found, *more = run_all(count_bytes, [(*part, rows, columns, width) for part in words])
    for counts in more:
        found += counts
    if even < len(truth):
        rest = (rows[truth[even:]] + columns[guess[even:]]).astype(np.int64)
        found += np.bincount(rest, minlength=len(found))
    counts, outside = within(found, classes)
    return None if outside else counts


@lru_cache
def _places(classes: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray, np.uint64]:
    """Where a target's byte and a prediction's are counted: place of the row, column; the length of a row."""
    columns = np.full(BYTE, classes, np.uint64)
    columns[:classes] = np.arange(classes)
    rows = columns.copy()
    if 0 <= ignore_index < BYTE:
        rows[ignore_index] = classes + 1
    width = np.uint64(classes + 1)
    return rows * width, columns, width


def _as_float(logits: Tensor) -> Iterator[tuple[int, np.ndarray]]:
    """``(first, scores)``: float32 of the images from ``first`` on, as many at a time as :data:`COPIED` holds."""
    at_once = len(logits)
    if logits.dtype != torch.float32 or not logits.is_contiguous():
        at_once = max(1, COPIED // (4 * logits[0].numel()))
    for first in range(0, len(logits), at_once):
        yield first, logits[first : first + at_once].float().contiguous().numpy()


def _grid(logits: Tensor, size: tuple[int, ...], window: Window, align_corners: bool) -> Grid:
    _, classes, height, width = logits.shape
    return make_grid(classes, (height, width), (size[0], size[1]), window, align_corners)


def _parts(images: int, grid: Grid) -> list[tuple[int, int, int]]:
    """Tasks ``(image, begin, end)``; by the shape alone, so that sums do not depend on the number of threads."""
    intervals = len(grid.row_start) - 1
    count = max(1, min(-(-TASKS // images), intervals // FEWEST_INTERVALS))
    cuts = [round(k * intervals / count) for k in range(count + 1)]
    return [(image, a, b) for image in range(images) for a, b in itertools.pairwise(cuts)]
