"""Images tile by tile, as parts that cover each pixel once: in memory, or read by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fullconv.blending import Scores, blended
from fullconv.freed import hand_back_what_is_free
from fullconv.geometry import Window
from fullconv.parts import Part
from fullconv.runner import Runner
from fullconv.tiling import Span, Tiling

Read = Callable[[slice, slice], Tensor | None]
"""Rows and columns of raw images -> their pixels ``n c H W``; None where these hold nothing, and any label will do."""


def parts_of(runner: Runner, pixels: Tensor, tiling: Tiling) -> Iterator[Part]:
    """Raw images ``n c H W`` in tiles; together the parts cover each pixel once."""
    height, width = pixels.shape[-2:]
    return tiled_parts(runner, (height, width), lambda rows, columns: pixels[:, :, rows, columns], tiling)


def tiled_parts(
    runner: Runner, size: tuple[int, int], read: Read, tiling: Tiling, first_row: int = 0
) -> Iterator[Part]:
    """Parts of images of ``(height, width)`` that are read by window: row after row of tiles, from the left.

    Args:
        read: asked for each tile once, in order.
        first_row: parts that end above it are left out, and tiles that only they need.
    """
    across = tiling.axes(size)[1]

    def scores(rows: Span, columns: Span) -> Scores:
        if rows.start or columns.start:
            hand_back_what_is_free()
        pixels = read(slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        if pixels is None:
            blank = Window(0, 0, rows.stop - rows.start, columns.stop - columns.start)
            return Scores(torch.zeros(1, 1, 1, 1), blank, rows, columns)
        return Scores(*runner.coarse_logits(pixels), rows, columns)

    tiles = ((scores(rows, columns) for columns in across) for rows in _needed(size, tiling, first_row))
    if tiling.blend:
        parts = blended(tiles, size, tiling.blend)
    else:
        parts = (tile.part(tile.rows.kept, tile.columns.kept) for row in tiles for tile in row)
    return (part for part in parts if part.rows.stop > first_row)


def tile_order(size: tuple[int, int], tiling: Tiling, first_row: int = 0) -> Iterator[tuple[slice, slice]]:
    """The windows that :func:`tiled_parts` will ask for, rows and columns."""
    across = tiling.axes(size)[1]
    for rows in _needed(size, tiling, first_row):
        yield from ((slice(rows.start, rows.stop), slice(columns.start, columns.stop)) for columns in across)


def _needed(size: tuple[int, int], tiling: Tiling, first_row: int) -> list[Span]:
    """The rows of tiles that something below ``first_row`` depends on."""
    return [rows for rows in tiling.axes(size)[0] if rows.keep_stop + tiling.blend > first_row]
