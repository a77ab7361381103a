"""The coarse logits of images part by part: whole if they fit into a tile, else tile by tile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fullconv.geometry import Window
from fullconv.ops import upsample
from fullconv.runner import Runner
from fullconv.tiling import choose_overlap, tile_windows


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


def parts_of(runner: Runner, pixels: Tensor, tile: int, overlap: int | None) -> Iterator[Part]:
    """Raw images ``n c H W`` in tiles of at most ``tile`` a side; together the parts cover each pixel once.

    Args:
        overlap: of neighbouring tiles, in pixels; None: so much that no label depends on pixels beyond its tile, but
            at most half of the tile.
    """
    height, width = pixels.shape[-2:]
    step = runner.coarsest_stride
    if overlap is None:  # to ask how far the network sees takes a moment
        overlap = 0 if max(height, width) <= tile else choose_overlap(tile, runner.context.pixels, step)
    for t in tile_windows(height, width, tile, overlap, step):
        logits, window = runner.coarse_logits(pixels[:, :, t.top : t.bottom, t.left : t.right])
        inner = window._replace(top=window.top + t.keep_top - t.top, left=window.left + t.keep_left - t.left)
        yield Part(logits, inner, slice(t.keep_top, t.keep_bottom), slice(t.keep_left, t.keep_right))


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
