"""Probabilities and the image -> better probabilities: the fully connected conditional random field."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fullconv.device import free_bytes
from fullconv.errors import UsageError
from fullconv.ops.cpu.gaussian import smooth
from fullconv.ops.cpu.lattice import LANES, Lattice
from fullconv.ops.cpu.meanfield import scaled, update
from fullconv.ops.cpu.threads import run_all

EXACT_PIXELS = 8192
"""Images of at most so many pixels are filtered exactly (a matrix of their square in float32: 268 MB)."""
LOWEST = 1e-6
_PADDING = -1e30
_PART = 4096

Filter = Callable[[np.ndarray], np.ndarray]
"""``[pixels, channels]`` -> the same: sums weighted by a kernel between pixels."""


@dataclass(frozen=True)
class CRF:
    """The pairwise terms of a fully connected CRF with Potts compatibility.

    Attributes:
        appearance: weight of the kernel between pixels near in place and colour.
        position_deviation: its standard deviation of place, pixels.
        colour_deviation: its standard deviation of each of red, green, blue, of 255.
        smoothness: weight of the kernel between pixels near in place.
        smoothness_deviation: its standard deviation, pixels.
        iterations: mean-field steps.
    """

    appearance: float = 4.0
    position_deviation: float = 49.0
    colour_deviation: float = 5.0
    smoothness: float = 3.0
    smoothness_deviation: float = 3.0
    iterations: int = 10

    def __post_init__(self) -> None:
        deviations = (self.position_deviation, self.colour_deviation, self.smoothness_deviation)
        if not all(math.isfinite(value) and value > 0 for value in deviations):
            raise UsageError(f"the deviations of a CRF must be above 0, found {self}")
        if not all(math.isfinite(value) and value >= 0 for value in (self.appearance, self.smoothness)):
            raise UsageError(f"the weights of a CRF must be 0 or more, found {self}")
        if self.iterations < 0 or self.iterations != int(self.iterations):
            raise UsageError(f"the iterations of a CRF must be a whole number from 0 on, found {self.iterations}")

    @classmethod
    def parse(cls, text: str) -> CRF:
        """``position_deviation=30,appearance=3``: the rest as by default.

        Raises:
            UsageError: an unknown field, or a value that is no number or out of range.
        """
        values: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            name = name.strip().replace("-", "_")
            if name not in cls.__dataclass_fields__:
                raise UsageError(f"a CRF has no field {name!r}; there are {', '.join(cls.__dataclass_fields__)}")
            try:
                values[name] = int(value) if name == "iterations" else float(value)
            except ValueError as error:
                raise UsageError(f"a CRF's {name} must be a number, found {value!r}") from error
        return cls(**values)


def dense_crf(probabilities: np.ndarray, image: np.ndarray, crf: CRF | None = None) -> np.ndarray:
    """Let pixels that are near in place and colour agree on their class.

    Mean-field inference in the fully connected CRF with unary terms ``-log p`` and the two Gaussian kernels of
    Kraehenbuehl & Koltun, each normalised symmetrically (``k_ij / sqrt(sum_j k_ij sum_i k_ij)``, as their code
    does), a pixel's own vote included:

        ``q_i(l) <- softmax_l(log p_i(l) + sum_m w_m sum_j k~_m(i, j) q_j(l))``

    The smoothness kernel is exact. The appearance kernel is exact up to :data:`EXACT_PIXELS` pixels; above, it is
    filtered on a permutohedral lattice (docs/crf.md gives its measured error).

    Args:
        probabilities: of each class, float ``[classes, height, width]``, 0 to 1.
        image: uint8 ``[height, width, channels]`` or ``[height, width]``; of more than three channels the first three.
        crf: weights and deviations; by default :class:`CRF`'s.

    Returns:
        Float32 ``[classes, height, width]``.

    Raises:
        UsageError: shapes that do not fit, probabilities that are none, an image too large for its deviations.

    Source: Kraehenbuehl & Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
    arXiv:1210.5644.
    """
    crf = crf or CRF()
    pixels = _checked(probabilities, image)
    classes, height, width = probabilities.shape
    channels = -(-classes // LANES) * LANES
    _refuse_if_too_large(height * width, channels)
    unary = np.full((height * width, channels), _PADDING, np.float32)
    chances = np.maximum(np.asarray(probabilities, np.float32).reshape(classes, -1), LOWEST)
    unary[:, :classes] = np.log(chances / chances.sum(0)).T

    def smoothness(values: np.ndarray) -> np.ndarray:
        return smooth(values.reshape(height, width, -1), crf.smoothness_deviation).reshape(values.shape)

    filters = (_appearance(pixels, crf), smoothness)
    ones = np.ones((height * width, LANES), np.float32)
    norms = np.stack([1 / np.sqrt(np.maximum(filter(ones)[:, 0], 1e-20)) for filter in filters])
    weights = np.array([crf.appearance, crf.smoothness], np.float32)
    cuts = list(itertools.pairwise([*range(0, len(unary), _PART), len(unary)]))
    current, sent = np.empty_like(unary), np.empty_like(unary)
    nothing = np.zeros_like(unary)
    run_all(update, [(unary, (nothing, nothing), norms, weights, a, b, current) for a, b in cuts])
    for _ in range(crf.iterations):
        messages = []
        for filter, norm in zip(filters, norms, strict=True):
            run_all(scaled, [(current, norm, a, b, sent) for a, b in cuts])
            messages.append(filter(sent))
        run_all(update, [(unary, tuple(messages), norms, weights, a, b, current) for a, b in cuts])
    return np.ascontiguousarray(current[:, :classes].T).reshape(classes, height, width)


def _refuse_if_too_large(pixels: int, channels: int) -> None:
    """Seven maps of all channels, and what the lattice holds (measured: 1044 bytes a pixel for 21 classes)."""
    need, free = pixels * (28 * channels + 400), free_bytes(torch.device("cpu"))
    if free is not None and need > free:
        raise UsageError(
            f"refining {pixels / 1e6:.1f} Mpixel with a CRF needs about {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB "
            "are free; make the image smaller, or leave the CRF out"
        )


def _appearance(pixels: np.ndarray, crf: CRF) -> Filter:
    """The kernel over place and colour, as a filter."""
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / crf.position_deviation
    colours = np.moveaxis(pixels.astype(np.float32) / crf.colour_deviation, 2, 0)
    features = np.stack([columns, rows, *colours], -1).reshape(-1, 5).astype(np.float32)
    return exact_filter(features) if len(features) <= EXACT_PIXELS else Lattice(features).filter


def exact_filter(features: np.ndarray) -> Filter:
    """Every pixel with every other: a matrix of ``exp(-distance^2 / 2)``."""
    points = torch.from_numpy(features)
    matrix = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square_().mul_(-0.5).exp_()
    return lambda values: (matrix @ torch.from_numpy(values)).numpy()


def _checked(probabilities: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The image as uint8 ``[height, width, 3]``."""
    if (
        probabilities.ndim != 3
        or not probabilities.size
        or image.shape[:2] != probabilities.shape[1:]
        or image.dtype != np.uint8
    ):
        raise UsageError(
            "expected probabilities [classes, height, width] and a uint8 image of the same height and width, found "
            f"{probabilities.shape} and {image.dtype} {image.shape}"
        )
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1 + 1e-3:
        raise UsageError("expected probabilities between 0 and 1; give a softmax of the logits")
    if image.ndim == 2 or image.shape[2] < 3:
        image = np.repeat(image.reshape(*image.shape[:2], -1)[..., :1], 3, 2)
    return image[..., :3]
