"""Several views of an image, scaled and mirrored, whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fullconv.errors import UsageError
from fullconv.geometry import Window
from fullconv.models.context import Context
from fullconv.ops import upsample
from fullconv.runner import Runner

STRIP = 64
"""Rows that are enlarged at a time."""
SCALES = (0.1, 4.0)
"""How small and how large a view may be; beyond it, nothing that was learned is left."""
LEAST = 1e-30
"""Below it probabilities count as 0, whose logarithm there is none of."""


@dataclass(frozen=True)
class Views:
    """Which views of an image are averaged.

    Attributes:
        scales: of its sides.
        flip: each of them also mirrored, left to right.

    Source: multi-scale inputs with mirroring at test time as in Chen et al., "DeepLab", arXiv:1606.00915, section 4.1;
    they take the maximum of scores, here probabilities are averaged.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        low, high = SCALES
        bad = [scale for scale in self.scales if not (math.isfinite(scale) and low <= scale <= high)]
        if bad or not self.scales:
            found = f"found {bad[0]}" if bad else "found none"
            raise UsageError(f"scales must be numbers from {low} to {high}, {found}; 0.5 0.75 1 1.25 1.5 are usual")
        if len(set(self.scales)) < len(self.scales):
            raise UsageError(f"scales must differ, found {' '.join(f'{scale:g}' for scale in self.scales)}")

    def __bool__(self) -> bool:
        """Whether there is anything to average or to scale."""
        return self.flip or self.scales != (1.0,)

    def __len__(self) -> int:
        return len(self.scales) * (1 + self.flip)

    def __str__(self) -> str:
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        return f"scales {scales}{', each also mirrored' if self.flip else ''}"


class ViewsRunner:
    """A runner whose scores are those of several views, of every pixel, as if it had a stride of 1.

    A result holds four bytes for each class and pixel: of a tile at most, since tiles are cut before views are made.
    """

    def __init__(self, runner: Runner, views: Views) -> None:
        self.runner = runner
        self.views = views
        self.device = runner.device
        self.precision = runner.precision
        self.coarsest_stride = runner.coarsest_stride
        self.side_by_side = False

    def __str__(self) -> str:
        return f"{self.runner}, {self.views}"

    @property
    def context(self) -> Context:
        """That of the largest view, in pixels of the image; tiles lie on other grids than the image whole."""
        pixels, _ = self.runner.context
        return Context(None if pixels is None else math.ceil(pixels / min(self.views.scales)), False)

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        """As :meth:`fullconv.runner.Runner.coarse_logits`: the logarithm of the mean probabilities, at full size."""
        height, width = pixels.shape[-2:]
        total: Tensor | None = None
        for scale in self.views.scales:
            view = scaled(pixels, scale)
            stretch = height / view.shape[-2], width / view.shape[-1]
            for mirrored in (False, True)[: 1 + self.views.flip]:
                logits, window = self.runner.coarse_logits(view.flip(3) if mirrored else view)
                if total is None:
                    total = torch.zeros(*logits.shape[:2], height, width, device=logits.device)
                _add_probabilities(total, logits.float(), window.scaled(*stretch), mirrored)
        assert total is not None
        return total.div_(len(self.views)).clamp_(min=LEAST).log_(), Window(0, 0, height, width)

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        """As of the runner."""
        return self.runner.find_not_finite(again)


def scaled(pixels: Tensor, scale: float) -> Tensor:
    """Raw images ``n c H W``, their sides ``scale`` times as long; bilinear, antialiased when shrinking."""
    if scale == 1:
        return pixels
    size = [max(1, round(side * scale)) for side in pixels.shape[-2:]]
    return interpolate(pixels.cpu(), size, mode="bilinear", antialias=True)


def _add_probabilities(total: Tensor, logits: Tensor, window: Window, mirrored: bool) -> None:
    """Add a view's, some rows at a time."""
    height, width = total.shape[-2:]
    for top in range(0, height, STRIP):
        rows = min(STRIP, height - top)
        likely = upsample(logits, (rows, width), window._replace(top=window.top + top)).softmax(1)
        total[:, :, top : top + rows] += likely.flip(3) if mirrored else likely


def behind(runner: Runner) -> Runner:
    """The runner that computes, whatever views it is asked for."""
    return runner.runner if isinstance(runner, ViewsRunner) else runner
