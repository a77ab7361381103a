"""Scores of places -> scores of the image: log-sum-exp pooling, with maximum and mean as its limits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops.bilinear import Axis, full_window
from fullconv.ops.reference import to_sums_dtype

SHARPNESS = 5.0
"""Of the paper."""


def pool_log_sum_exp(scores: Tensor, weight: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """The scores of some images as wholes, from those of their places.

    ``1 / r log(sum_i w_i exp(r s_i) / sum_i w_i)`` with ``r`` the sharpness: close to the maximum for a large one, to
    the mean for a small one.

    Args:
        scores: ``n c h w``.
        weight: of each place, 0 or more, ``n h w`` or ``1 h w``; one of weight 0 is not looked at, whatever its score.
        sharpness: above 0; ``inf`` for the maximum itself.

    Returns:
        ``n c``, float32 (float64 for float64 scores); 0 with a zero gradient for an image whose places all have
        weight 0.

    Raises:
        ValueError: shapes that do not fit, a sharpness that is none.

    Source: Pinheiro & Collobert, "From Image-level to Pixel-level Labeling with Convolutional Networks",
    arXiv:1411.6228, section 3.1, with weights.
    """
    if scores.ndim != 4 or weight.shape[1:] != scores.shape[2:] or weight.shape[0] not in (1, scores.shape[0]):
        raise ValueError(
            f"expected scores n c h w and weights n h w or 1 h w, found {tuple(scores.shape)} and {tuple(weight.shape)}"
        )
    if not sharpness > 0:
        raise ValueError(f"sharpness must be above 0, found {sharpness}")
    exact = to_sums_dtype(scores).flatten(2)
    weight = weight.to(exact).flatten(1)[:, None]
    counted = weight > 0
    any_counted = counted.any(2)
    exact = torch.where(counted, exact, 0)
    if math.isinf(sharpness):
        pooled = torch.where(counted, exact, -math.inf).amax(2)
    else:
        share = torch.where(counted, weight, 1).log() - weight.sum(2, keepdim=True).clamp(min=1e-30).log()
        powers = torch.where(counted | ~any_counted[..., None], sharpness * exact + share, -math.inf)
        pooled = powers.logsumexp(2) / sharpness
    return torch.where(any_counted, pooled, 0)


def place_weights(
    coarse: tuple[int, int], size: tuple[int, int], window: Window | None, inside: Tensor | None, like: Tensor
) -> Tensor:
    """How much of an image each of its coarse places stands for.

    A place weighs as much as all pixels of the image take from it when the map is enlarged, so the weights add up to
    the number of pixels, and the weighted mean of coarse scores is the mean of the enlarged ones. Places beside the
    image weigh nothing.

    Args:
        coarse: ``(h, w)`` of the map.
        size: ``(H, W)`` of the images.
        window: where they lie in the enlarged map; all of it when None.
        inside: int64 ``[n, 4]``: the first row and the one behind the last, the first column and the one behind the
            last, of what holds an image; the rest is padding. None: all of it.
        like: of the device and dtype that is wanted.

    Returns:
        ``n h w``, or ``1 h w`` without ``inside``.
    """
    top, left, height, width = full_window(size, window)
    sides = ((coarse[0], size[0], top, height), (coarse[1], size[1], left, width))
    with torch.autocast(like.device.type, enabled=False):
        return _place_weights(sides, inside, like)


def _place_weights(sides: tuple[tuple[int, int, float, float], ...], inside: Tensor | None, like: Tensor) -> Tensor:
    along = []
    for side, (places, pixels, start, full) in enumerate(sides):
        matrix = Axis.of(places, pixels, start, full, False, like).matrix(like)
        if inside is None:
            along.append(matrix.sum(0)[None])
            continue
        pixel = torch.arange(pixels, device=inside.device)
        first, behind = inside[:, 2 * side, None], inside[:, 2 * side + 1, None]
        along.append(((pixel >= first) & (pixel < behind)).to(like) @ matrix)
    return along[0][:, :, None] * along[1][:, None]
