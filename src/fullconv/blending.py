"""Tiles of a network that sees all of an image: their scores pass into each other where they overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import upsample
from fullconv.parts import Part
from fullconv.tiling import Span


class Scores(NamedTuple):
    """Coarse logits ``n c h w`` of one tile, and where the tile lies in them and in the image."""

    logits: Tensor
    window: Window
    rows: Span
    columns: Span

    def part(self, rows: slice, columns: slice) -> Part:
        """Some pixels of the tile."""
        top, left = rows.start - self.rows.start, columns.start - self.columns.start
        window = self.window._replace(top=self.window.top + top, left=self.window.left + left)
        return Part(self.logits, window, rows, columns)

    def enlarged(self, rows: slice, columns: slice) -> Tensor:
        """Their scores, float32 ``n c rows columns``."""
        part = self.part(rows, columns)
        return upsample(part.logits.float(), part.size, part.window)


class Zones(NamedTuple):
    """One axis of a tile: shared with the tile before, its own, shared with the tile after."""

    before: slice
    own: slice
    after: slice

    @classmethod
    def of(cls, span: Span, half: int, length: int) -> Zones:
        """The zones of a tile that is kept as ``span``, where ``half`` pixels on either side of a cut are shared."""
        first, last = span.keep_start == 0, span.keep_stop == length
        start = span.keep_start - (0 if first else half)
        own = slice(span.keep_start + (0 if first else half), span.keep_stop - (0 if last else half))
        return cls(slice(start, own.start), own, slice(own.stop, span.keep_stop + (0 if last else half)))

    @property
    def all(self) -> slice:
        return slice(self.before.start, self.after.stop)

    def weights(self) -> Tensor:
        """Rises over the shared pixels before, falls over those after; of two neighbours they add to 1."""
        rise, fall = (_ramp(zone.stop - zone.start) for zone in (self.before, self.after))
        return torch.cat((rise, torch.ones(self.own.stop - self.own.start), fall.flip(0)))


def _ramp(count: int) -> Tensor:
    return (torch.arange(count) + 0.5) / max(count, 1)


def blended(tile_rows: Iterable[Iterable[Scores]], size: tuple[int, int], half: int) -> Iterator[Part]:
    """Parts that together cover the image once, from its top; scores within ``half`` pixels of a cut are mixed.

    Args:
        tile_rows: the tiles of each row of tiles, left to right; where the first is not the image's first, what it
            shares with the one before is left out.
        size: ``(height, width)`` of the image.
    """
    above: Tensor | None = None
    for tiles in tile_rows:
        below: Tensor | None = None
        left: Tensor | None = None
        for tile in tiles:
            down, across = Zones.of(tile.rows, half, size[0]), Zones.of(tile.columns, half, size[1])
            weights = across.weights().to(tile.logits.device)
            done = slice(across.before.start, across.own.stop)
            if above is not None:
                rise = _ramp(2 * half).to(weights)[:, None]
                above[..., across.all] += tile.enlarged(down.before, across.all) * weights * rise
                yield _full(above[..., done], down.before, done)
            if left is not None and left.shape[2]:
                left += tile.enlarged(down.own, across.before) * weights[: 2 * half]
                yield _full(left, down.own, across.before)
            if across.own.stop > across.own.start and down.own.stop > down.own.start:
                yield tile.part(down.own, across.own)
            left = None
            if across.after.stop > across.after.start:
                left = tile.enlarged(down.own, across.after) * weights[-2 * half :]
            if down.after.stop > down.after.start:
                if below is None:
                    below = tile.logits.new_zeros((*tile.logits.shape[:2], 2 * half, size[1]), dtype=torch.float32)
                fall = _ramp(2 * half).flip(0).to(weights)[:, None]
                below[..., across.all] += tile.enlarged(down.after, across.all) * weights * fall
        above = below


def _full(scores: Tensor, rows: slice, columns: slice) -> Part:
    height, width = scores.shape[-2:]
    return Part(scores, Window(0, 0, height, width), rows, columns)
