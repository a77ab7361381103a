"""The coarse logits of a part of some images, and what is made of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fullconv.geometry import Window
from fullconv.ops import upsample
from fullconv.runner import Runner


class Part(NamedTuple):
    """Coarse logits ``1 c h w`` or ``n c h w`` of a part of the image(s): pixels ``rows`` x ``columns``."""

    logits: Tensor
    window: Window
    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def probabilities(self) -> Tensor:
        """Float32 ``n classes height width``, on the CPU."""
        return upsample(self.logits.float(), self.size, self.window).softmax(1).cpu()


def resized_part(runner: Runner, pixels: Tensor, size: tuple[int, int]) -> Part:
    """Raw images ``n c H W`` brought to one size: their logits as one part of the images as they were."""
    height, width = pixels.shape[-2:]
    # antialiased when shrinking; on the processor, which alone does it on uint8
    logits, window = runner.coarse_logits(interpolate(pixels.cpu(), size, mode="bilinear", antialias=True))
    return Part(logits, window.scaled(height / size[0], width / size[1]), slice(0, height), slice(0, width))


def joined_probabilities(parts: Iterable[Part], shape: tuple[int, int, int, int]) -> Tensor:
    """The parts of images of one size -> the probability of every class at every pixel, ``shape``, on the CPU."""
    result = torch.empty(shape)
    for part in parts:
        result[:, :, part.rows, part.columns] = part.probabilities()
    return result
