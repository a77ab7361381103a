"""The Triton kernels on tensors: what :mod:`fullconv.ops.backend` calls for CUDA."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
import triton
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import reference
from fullconv.ops.bilinear import Axis
from fullconv.ops.checks import assert_labels, asserts, check_labels, kept, to_device
from fullconv.ops.terms import SoftmaxSums, SoftmaxTerms
from fullconv.ops.triton.forward import softmax_forward
from fullconv.ops.triton.kernels import argmax_forward, count_pairs, softmax_backward
from fullconv.ops.triton.pieces import LONGEST, Pieces, softmax_gradient, worthwhile

P = ParamSpec("P")
T = TypeVar("T")
PIXELS, CLASSES, CELLS = 128, 16, 16
ROWS, LANES = 4, 64  # of a program of the losses' forward pass, at most
COUNTED, MOST_BINS = 1024, 4096


class Reads(NamedTuple):
    """Interpolation along one axis: what each pixel reads, and by which pixels each coarse place is read.

    Attributes:
        low, high, fraction: of each pixel, as in :class:`fullconv.ops.bilinear.Axis`.
        first, end: of each place, the pixels ``first`` to ``end`` read it.
        longest: the most pixels that read one place.
        pieces: the pixels, cut where the places change.
        short: the same in pieces of at most ``ROWS`` pixels.
    """

    low: Tensor
    high: Tensor
    fraction: Tensor
    first: Tensor
    end: Tensor
    longest: int
    pieces: Pieces
    short: Pieces

    @classmethod
    def along(cls, axis: Axis) -> Reads:
        low, high = axis.on_host
        first = np.searchsorted(high, np.arange(axis.coarse))
        end = np.searchsorted(low, np.arange(axis.coarse), side="right")
        device = axis.low.device
        edges = to_device(torch.from_numpy(np.stack((first, end))).int(), device)
        pieces, short = (Pieces.along(low, high, axis.coarse, most).to(device) for most in (LONGEST, ROWS))
        longest = int((end - first).max())
        return cls(axis.low.int(), axis.high.int(), axis.fraction, edges[0], edges[1], longest, pieces, short)


def _on_its_device(function: Callable[Concatenate[Tensor, P], T]) -> Callable[Concatenate[Tensor, P], T]:
    """Triton launches on the current GPU; make that the one that holds the tensors."""

    @functools.wraps(function)
    def run(first: Tensor, /, *others: P.args, **named: P.kwargs) -> T:
        with torch.cuda.device(first.device) if first.is_cuda else contextlib.nullcontext():
            return function(first, *others, **named)

    return run


@_on_its_device
def softmax_sums(logits: Tensor, labels: Tensor, terms: SoftmaxTerms) -> SoftmaxSums:
    """As :func:`fullconv.ops.reference.softmax_sums`."""
    scores, truth = logits.detach().float().contiguous(), labels.contiguous()
    images, classes, height, width = scores.shape
    rows, columns = truth.shape[1:]
    vertical, horizontal = _reads(scores, (rows, columns), terms.window, terms.align_corners)
    weight = _ones(classes, scores.device) if terms.weight is None else terms.weight.to(scores).contiguous()
    smooth, rest = terms.label_smoothing / classes, 1 - terms.label_smoothing
    log_norm = scores.new_empty(truth.shape)
    slope = torch.empty_like(log_norm) if terms.gamma else log_norm
    losses = torch.empty_like(log_norm) if terms.pixel_losses else None
    kinds = {"FOCAL": terms.gamma > 0, "SMOOTH": smooth > 0}
    down = vertical.short
    grid = (images * down.number, triton.cdiv(columns, LANES))
    parts = scores.new_empty(3, *grid)
    softmax_forward[grid](
        scores, scores.amax(1), truth, weight, down.table, vertical.fraction, *horizontal[:3],
        log_norm, slope, log_norm if losses is None else losses, parts,
        classes, height, width, rows, columns, down.number, terms.ignore_index, smooth, rest, terms.gamma,
        EACH=losses is not None, ROWS=down.length, PIXELS=LANES, num_warps=LANES // 32, **kinds,
    )  # fmt: skip
    total, divisor, wrong = parts.sum((1, 2), dtype=torch.float64)
    if asserts(wrong.device):
        assert_labels(wrong, classes, terms.ignore_index)
    elif bool(wrong):
        check_labels(labels, classes, terms.ignore_index)
    tile = min(CLASSES, triton.next_power_of_2(classes))
    gradient = None
    if terms.gradient and worthwhile(vertical.pieces, horizontal.pieces, rows * columns):
        gradient = softmax_gradient(
            scores, truth, weight, (vertical.pieces, horizontal.pieces), (vertical.fraction, horizontal.fraction),
            (log_norm, slope), terms.ignore_index, terms.label_smoothing, terms.gamma > 0,
        )  # fmt: skip
    elif terms.gradient:
        gradient, scale = torch.empty_like(scores), None
        soft_extra = float(terms.label_smoothing)  # smooth times the sum of the weights, which is made `classes`:
        if smooth and terms.weight is not None:  # a sum that the host knows without reading it
            scale = weight.sum() / classes
            weight = weight / torch.where(scale > 0, scale, 1)
        softmax_backward[(images * height, triton.cdiv(width, CELLS), triton.cdiv(classes, tile))](
            scores, truth, weight, *vertical[:3], *horizontal[:3], vertical.first, vertical.end,
            horizontal.first, horizontal.end, log_norm, slope, gradient,
            classes, height, width, rows, columns, terms.ignore_index, smooth, soft_extra, rest, horizontal.longest,
            CELLS=CELLS, CLASSES=tile, **kinds,
        )  # fmt: skip
        if scale is not None:
            gradient *= scale
    return SoftmaxSums(total, divisor, gradient, losses)


@_on_its_device
def argmax(
    logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool, confidence: bool
) -> tuple[Tensor, Tensor | None]:
    """As :func:`fullconv.ops.reference.argmax`."""
    scores = logits.detach().float().contiguous()
    images, classes, height, width = scores.shape
    vertical, horizontal = _reads(scores, size, window, align_corners)
    dtype = torch.uint8 if classes <= 256 else torch.int32
    labels = torch.empty((images, *size), dtype=dtype, device=scores.device)
    sure = torch.empty((images, *size) if confidence else (1,), device=scores.device)
    argmax_forward[(images * size[0], triton.cdiv(size[1], PIXELS))](
        scores, *vertical[:3], *horizontal[:3], labels, sure, classes, height, width, *size,
        SURE=confidence, PIXELS=PIXELS,
    )  # fmt: skip
    return labels, sure if confidence else None


@_on_its_device
def confusion(prediction: Tensor, target: Tensor, classes: int, ignore_index: int) -> tuple[Tensor, list[int]]:
    """As :func:`fullconv.ops.reference.confusion`."""
    bins = triton.next_power_of_2(classes**2 + 1)
    if bins > MOST_BINS:
        return reference.confusion(prediction, target, classes, ignore_index)
    counts = torch.zeros(bins, dtype=torch.int64, device=target.device)
    outside = torch.tensor([0, -(2**62), 0, -(2**62)], device=target.device)
    pixels = target.numel()
    count_pairs[(max(triton.cdiv(pixels, COUNTED), 1),)](
        prediction.contiguous(), target.contiguous(), counts, outside, pixels, classes, ignore_index,
        BLOCK=COUNTED, BINS=bins,
    )  # fmt: skip
    return counts[: classes**2].view(classes, classes), outside.tolist()


def _reads(scores: Tensor, size: tuple[int, int], window: Window, align_corners: bool) -> tuple[Reads, Reads]:
    top, left, height, width = window
    return (
        _reads_along(scores.shape[2], size[0], top, height, align_corners, scores.device),
        _reads_along(scores.shape[3], size[1], left, width, align_corners, scores.device),
    )


@kept
def _ones(classes: int, device: torch.device) -> Tensor:
    return torch.ones(classes, device=device)


@kept
def _reads_along(coarse: int, size: int, start: float, full: float, align_corners: bool, device: torch.device) -> Reads:
    like = torch.empty(0, device=device)
    return Reads.along(Axis.of(coarse, size, start, full, align_corners, like))
