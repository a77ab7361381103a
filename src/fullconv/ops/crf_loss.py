"""The loss of a dense CRF on coarse logits: places that look alike and lie near should be of one class.

It needs no labels, so it says something of the pixels that scribbles and points leave out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops.backend import backend_name
from fullconv.ops.bilinear import full_window
from fullconv.ops.checks import kept, to_device
from fullconv.ops.once import only_once
from fullconv.ops.reference import to_sums_dtype

COLOUR_DEVIATION = 15.0
"""Of the authors' code, of 255."""
POSITION_DEVIATION = 100.0
"""Of the authors' code, pixels."""
EXACT_PLACES = 1024
"""On a processor, maps of at most so many places are filtered exactly: that takes a few milliseconds an image there."""
PART_BYTES = 128 << 20
LOWEST = -60.0  # exponents; smaller powers are denormal numbers, which are slow


@torch.compiler.disable
def dense_crf_loss(
    logits: Tensor,
    image: Tensor,
    *,
    crop: Window | None = None,
    inside: Tensor | None = None,
    colour_deviation: float = COLOUR_DEVIATION,
    position_deviation: float = POSITION_DEVIATION,
) -> Tensor:
    """How often two places that are near in place and colour are called different classes: a number from 0 to 1.

    With ``S_k`` the probabilities of class ``k`` at all places of an image (softmax of the coarse logits),
    ``W_ij = m_i m_j exp(-|x_i - x_j|^2 / 2 position_deviation^2 - |I_i - I_j|^2 / 2 colour_deviation^2)``, ``I_i`` the
    mean colour of the pixels that a place covers and ``m_i`` the share of it that the image covers:

        ``E = sum_k S_k^T W (1 - S_k) / (1^T W 1)``

    averaged over the images. Its gradient takes one filtering of the probabilities, ``-2 W S_k / (1^T W 1)``: what is
    left out, ``W 1 / (1^T W 1)``, is common to all classes, so the softmax does not pass it on.

    Args:
        logits: coarse scores ``n c h w``, floating point; sums run in float32 (float64 for float64).
        image: ``n C H W``, 0 to 255, uint8 or floating point; of one or two channels the first counts three times, of
            more than three the first three.
        crop: where the image lies in the enlarged map of scores; the whole of it when None.
        inside: int64 ``[n, 4]``: the first row and the one behind the last, the first column and the one behind the
            last, of what holds an image; the rest is padding and counts for nothing. None: all of it.
        colour_deviation: of each of the three channels, of 255.
        position_deviation: pixels of the image.

    Returns:
        A scalar, float32 (float64 for float64); an image without a pixel inside counts as 0. nan and infinite logits
        make it nan.

    Raises:
        ValueError: shapes, dtypes or devices that do not fit, a deviation that is not above 0.
        UsageError: deviations so small that the lattice cannot number its points.

    On a processor W is a permutohedral lattice (docs/less.md gives its measured error), on small maps, in float64 and
    on other devices every pair of places. A second derivative is refused.

    Source: Tang, Perazzi, Djelouah, Ben Ayed, Schroers, Boykov, "On Regularized Losses for Weakly-supervised CNN
    Segmentation", ECCV 2018, arXiv:1803.09569, section 3.2; there E is divided by nothing, and weighted by 2e-9.
    """
    window = _checked(logits, image, crop, inside, colour_deviation, position_deviation)
    with torch.no_grad(), torch.autocast(logits.device.type, enabled=False):
        points, weights = _places(logits, image, window, inside, colour_deviation, position_deviation)
    loss: Tensor = _CrfLoss.apply(logits, points, weights)
    return loss


class _CrfLoss(torch.autograd.Function):
    """Loss and gradient by one filtering, both ready when the forward pass ends."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            images, _, height, width = logits.shape
            shares = to_sums_dtype(logits.detach()).softmax(1)
            weighted = shares.flatten(2).mT * weights[:, :, None]  # n places c
            messages = _filter(points, weighted)
            total = (messages.sum(2) * weights).sum(1)  # 1^T W 1, because the shares of a place sum to 1
            total = torch.where(total == 0, math.inf, total)[:, None, None]
            messages /= total
            alike = (weighted * messages).sum((1, 2))
            loss = torch.where(total[:, 0, 0] == math.inf, 0, 1 - alike).mean()
            slope = (messages * weights[:, :, None]).mul_(-2 / images).mT.unflatten(2, (height, width))
            ctx.save_for_backward(shares * (slope - (shares * slope).sum(1, keepdim=True)), logits)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        gradient, logits = ctx.saved_tensors
        return only_once((gradient.detach() * outer.detach()).to(logits.dtype), ctx), None, None


# -- places ------------------------------------------------------------------------------------------------------------


def _places(
    logits: Tensor,
    image: Tensor,
    window: Window,
    inside: Tensor | None,
    colour_deviation: float,
    position_deviation: float,
) -> tuple[Tensor, Tensor]:
    """Where each place lies in units of the deviations, ``n h*w 5``, and the share of it that is image, ``n h*w``."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    height, width = logits.shape[-2:]
    spans = [(window.top, window.height), (window.left, window.width)]
    sizes = [(height, image.shape[2]), (width, image.shape[3])]
    rows, columns = (_covers(*size, *span, dtype, image.device)[None] for size, span in zip(sizes, spans, strict=True))
    if inside is not None:
        rows = rows * _inside(sizes[0][1], inside[:, :2])
        columns = columns * _inside(sizes[1][1], inside[:, 2:])
    colours = image[:, :3] if image.shape[1] >= 3 else image[:, :1].expand(-1, 3, -1, -1)
    colours = rows[:, None] @ colours.contiguous().to(dtype) @ columns.mT[:, None]  # bytes are moved sooner than floats
    area = rows.sum(2)[:, :, None] * columns.sum(2)[:, None, :]  # pixels that a place covers
    area = area.expand(len(image), -1, -1)
    colours = colours / area.clamp(min=1e-6)[:, None]
    cell = (window.height / height, window.width / width)
    grid = _grid(height, width, cell[0] / position_deviation, cell[1] / position_deviation, dtype, image.device)
    points = torch.cat([grid.expand(len(image), -1, -1), colours.flatten(2).mT / colour_deviation], 2)
    return points, area.flatten(1) / (cell[0] * cell[1])


def _inside(size: int, span: Tensor) -> Tensor:
    """Which of ``size`` pixels lie from the first of each image's span ``[n, 2]`` to before the last: ``n 1 size``."""
    pixel = torch.arange(size, device=span.device)
    return ((pixel >= span[:, :1]) & (pixel < span[:, 1:]))[:, None]


@kept
def _covers(coarse: int, size: int, start: float, full: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """How much of each pixel lies in each place's cell along one axis, ``[coarse, size]``, in pixels.

    Place ``i`` is the cell from ``i full / coarse`` to ``(i + 1) full / coarse`` of the enlarged map, pixel ``y`` lies
    from ``start + y`` to ``start + y + 1`` in it.
    """
    edge = torch.arange(coarse + 1, dtype=torch.float64)[:, None] * (full / coarse)
    pixel = start + torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edge[1:], pixel + 1) - torch.maximum(edge[:-1], pixel)
    return to_device(overlap.clamp(min=0).to(dtype), device)


@kept
def _grid(height: int, width: int, down: float, across: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Each place's column and row, ``h*w 2``, in deviations."""
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in (height, width))
    return to_device(torch.cartesian_prod(rows * down, columns * across).flip(1).to(dtype), device)


# -- the filter --------------------------------------------------------------------------------------------------------


def _filter(points: Tensor, values: Tensor) -> Tensor:
    """Each place's sum of all values times the Gaussian to them, up to one factor for an image: ``n places c``."""
    if backend_name(points) == "cpu" and points.shape[1] > EXACT_PLACES:
        from fullconv.ops.cpu.lattice import filter_all

        return torch.from_numpy(filter_all(points.numpy(), values.numpy()))
    return every_pair(points, values)


def every_pair(points: Tensor, values: Tensor) -> Tensor:
    """The Gaussian filter itself, some rows of its matrix at a time.

    The exponents are taken in float64, which no setting of the GPU's rounds (TF32 would, to several per cent of W).
    """
    images, count, _ = points.shape
    wide = points - points.mean(1, keepdim=True)
    wide = wide if wide.device.type == "mps" else wide.double()
    half = wide.square().sum(2) / 2
    step = max(1, PART_BYTES // (wide.element_size() * images * count))
    found = []
    for first in range(0, count, step):
        part = slice(first, first + step)
        exponent = torch.baddbmm(half[:, None, :], wide[:, part], wide.mT, beta=-1) - half[:, part, None]
        found.append(exponent.to(values.dtype).clamp_(LOWEST, 0).exp_() @ values)
    return torch.cat(found, 1)


def _checked(
    logits: Tensor,
    image: Tensor,
    crop: Window | None,
    inside: Tensor | None,
    colour_deviation: float,
    position_deviation: float,
) -> Window:
    """The window; everything fits.

    Raises:
        ValueError: something does not.
    """
    if logits.ndim != 4 or image.ndim != 4 or len(logits) != len(image) or not logits.is_floating_point():
        raise ValueError(
            "expected floating-point logits n c h w and images n C H W, found "
            f"{logits.dtype} {tuple(logits.shape)} and {image.dtype} {tuple(image.shape)}"
        )
    if 0 in logits.shape or 0 in image.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and images {tuple(image.shape)} must not be empty")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"expected images of 0 to 255, uint8 or floating point, found {image.dtype}")
    if logits.device != image.device:
        raise ValueError(f"logits are on {logits.device}, images on {image.device}; move them to one device")
    if inside is not None and inside.shape != (len(image), 4):
        raise ValueError(f"expected inside of shape {(len(image), 4)}, found {tuple(inside.shape)}")
    if not all(math.isfinite(value) and value > 0 for value in (colour_deviation, position_deviation)):
        raise ValueError(
            f"the deviations must be above 0, found colour {colour_deviation} and position {position_deviation}"
        )
    return full_window((image.shape[2], image.shape[3]), crop)
