"""How a large image is cut into tiles that are labelled one by one. Integers, no tensors."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fullconv.errors import UsageError

TILE = 2048
BLIND_OVERLAP = 256
"""Of networks that see the whole image, for which no overlap is enough."""
MOST_BLENDED = 128
"""Pixels across a seam over which scores are blended at most: what is kept of them costs memory."""


class Tiling(NamedTuple):
    """How an image is cut.

    Attributes:
        tile, overlap: in pixels; an image that fits into a tile is one.
        step: tiles start at its multiples.
        blend: where two tiles meet, scores of so many pixels on either side are mixed; 0: each pixel is of one tile.
    """

    tile: int
    overlap: int
    step: int
    blend: int = 0

    def axes(self, size: tuple[int, int]) -> tuple[list[Span], list[Span]]:
        """Along the height, and along the width."""
        height, width = (_spans(length, self.tile, self.overlap, self.step) for length in size)
        return height, width


class Span(NamedTuple):
    """A tile along one axis: pixels ``start`` to ``stop``, of which ``keep_start`` to ``keep_stop`` are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def kept(self) -> slice:
        return slice(self.keep_start, self.keep_stop)


class Tile(NamedTuple):
    """A window of an image to predict, and the part of the result to keep (all in image pixels)."""

    top: int
    left: int
    bottom: int
    right: int
    keep_top: int
    keep_left: int
    keep_bottom: int
    keep_right: int


def tile_windows(height: int, width: int, tile: int, overlap: int, step: int = 1) -> Iterator[Tile]:
    """Cover an image with tiles of at most ``tile x tile`` that overlap by at least ``overlap`` pixels.

    Tiles start at multiples of ``step``, so that a network whose strides divide it sees every tile on the grid of the
    whole image; the last tile of a row or column may be smaller. The kept parts partition the image: each pixel is
    kept from exactly one tile, and lies at least ``overlap // 2`` pixels from that tile's edge unless the edge is the
    image's own.
    """
    if not 0 <= overlap <= tile - step:
        raise ValueError(f"the overlap must be 0 to {tile - step} (the tile less a step of {step}), found {overlap}")
    for top, bottom, keep_top, keep_bottom in _spans(height, tile, overlap, step):
        for left, right, keep_left, keep_right in _spans(width, tile, overlap, step):
            yield Tile(top, left, bottom, right, keep_top, keep_left, keep_bottom, keep_right)


def _spans(length: int, tile: int, overlap: int, step: int) -> list[Span]:
    if length <= tile:
        return [Span(0, length, 0, length)]
    advance = (tile - overlap) // step * step
    starts = [advance * index for index in range(-(-(length - tile) // advance) + 1)]
    cuts = [0, *((a + tile + b) // 2 for a, b in itertools.pairwise(starts)), length]
    return [Span(start, min(start + tile, length), cuts[i], cuts[i + 1]) for i, start in enumerate(starts)]


def check_tiles(tile: Any, overlap: Any, step: int) -> None:
    """Refuse tiles that cannot be.

    Args:
        tile, overlap: in pixels; an overlap of None will be chosen.
        step: what tiles start at multiples of: the network's coarsest stride.

    Raises:
        UsageError: no whole numbers, or a tile or an overlap that leaves no room for a step.
    """
    if not _whole(tile) or tile < step:
        raise UsageError(f"tile must be a whole number of pixels, at least {step} for this network, found {tile!r}")
    if overlap is not None and not (_whole(overlap) and 0 <= overlap <= tile - step):
        raise UsageError(
            f"overlap must be a whole number of pixels, 0 to {tile - step} with tiles of {tile} for this network, "
            f"found {overlap!r}"
        )


def safe_overlap(tile: int, context: int, step: int) -> int:
    """The overlap with which no label depends on pixels beyond its tile.

    Args:
        tile: its side.
        context: how many pixels away a label may depend on.
        step: the network's coarsest stride; a tile that is no multiple of it ends within a place.
    """
    return 2 * (context + (step - 1 if tile % step else 0))


def choose_overlap(tile: int, context: int | None, step: int) -> int:
    """The safe overlap, but at most half of the tile: more than four times the work is no sensible default."""
    wanted = BLIND_OVERLAP if context is None else safe_overlap(tile, context, step)
    return min(wanted, tile // 2, tile - step)


def choose_tiling(
    size: tuple[int, int],
    tile: int,
    overlap: int | None,
    step: int,
    context: Callable[[], tuple[int | None, bool]],
    *,
    exact: bool = False,
) -> Tiling:
    """How an image of ``(height, width)`` is cut.

    Args:
        overlap: None: the safe one, but at most half of the tile.
        step: the network's coarsest stride.
        context: how far it sees, and whether tiles that show so much have the whole image's scores; asked where needed.
        exact: let the tile grow rather than the overlap be cut, and end on the network's grid. It cannot help a
            network that sees all of an image: there, exact or not, scores are blended over the overlap.

    Raises:
        UsageError: an overlap that is not safe, where labels are to be exact.
    """  # fmt: skip
    if max(size) <= tile:
        return Tiling(tile, 0, step)
    pixels, local = context()
    if pixels is None or not local:
        chosen = choose_overlap(tile, pixels, step) if overlap is None else overlap
        return Tiling(tile, chosen, step, min(chosen, (tile - chosen) // step * step, MOST_BLENDED) // 2)
    if not exact:
        return Tiling(tile, choose_overlap(tile, pixels, step) if overlap is None else overlap, step)
    tile = max(tile // step * step, -(-4 * pixels // step) * step, 2 * step)
    if overlap is not None and overlap < 2 * pixels:
        raise UsageError(
            f"--exact needs an overlap of {2 * pixels} for this network, found {overlap}; leave --overlap to it"
        )
    return Tiling(tile, max(2 * pixels, overlap or 0), step)


def seam_note(tile: int, overlap: int, context: int | None, exact: bool, step: int) -> str:
    """What to know of labels near the seams of tiles; empty where they are those of the whole image."""
    said = f"tiles of {tile} overlap by {overlap}; labels near their seams may differ from those of the whole image: "
    blended = "Its scores are blended there; a tile larger than the image avoids it"
    if context is None:
        return f"{said}this network sees all of an image. {blended}"
    safe = safe_overlap(tile, context, step)
    if overlap >= safe:
        return "" if exact else f"{said}its size matters to this network. {blended}"
    said += f"this network sees {context} pixels around each. "
    if safe <= tile // 2:
        return said + f"An overlap of {safe}, the default, avoids it"
    return said + f"A tile of {-(-4 * context // step) * step} (--tile) with its default overlap avoids it"


def _whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)
