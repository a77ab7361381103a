"""timm's Hiera on images of any size: it lays its tokens out for one size, which this does for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from timm.models.hiera import Hiera, Reroll, Unroll
from torch import Tensor


def hiera_maps(network: Hiera, pixels: Tensor, stages: Sequence[int]) -> list[Tensor]:
    """The maps ``n c h w`` after some of its stages; of its own size those of timm's ``forward_intermediates``.

    Args:
        pixels: normalised, ``n c H W``, sides multiples of the coarsest stride.
        stages: their numbers, from 0, ascending.
    """
    size, strides = tuple(pixels.shape[-2:]), network.patch_stride
    grid = (size[0] // strides[0], size[1] // strides[1])
    x = network.patch_embed(pixels) + _positions(network, grid)
    schedule = network.unroll.schedule
    x = Unroll(size, strides, schedule)(x)
    reroll = Reroll(size, strides, schedule, network.stage_ends, network.q_pool)
    ends = [network.stage_ends[stage] for stage in stages]
    maps = []
    for index, block in enumerate(network.blocks[: ends[-1] + 1]):
        x = block(x)
        if index in ends:
            maps.append(reroll(x, index).permute(0, 3, 1, 2))
    return maps


def _positions(network: Hiera, grid: tuple[int, int]) -> Tensor:
    """The position embedding ``1 n c`` of a grid; that of the windows is repeated, not resampled (arXiv:2311.05613)."""
    windows, positions = network.pos_embed_win, network.pos_embed
    assert positions is not None  # images, not videos
    if windows is None:
        return resample_abs_pos_embed(
            positions, grid, network.tokens_spatial_shape[-2:], num_prefix_tokens=0
        )  # fmt: skip
    side = windows.shape[-2:]
    tiled = windows.tile(1, 1, -(-grid[0] // side[0]), -(-grid[1] // side[1]))[..., : grid[0], : grid[1]]
    everywhere = F.interpolate(positions, size=grid, mode="bicubic", antialias=True)
    return (everywhere + tiled).flatten(2).transpose(1, 2)
