"""How a large image is cut into tiles that are labelled one by one. Integers, no tensors."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

from fullconv.errors import UsageError

TILE = 2048
BLIND_OVERLAP = 256
"""Of networks that see the whole image, for which no overlap is enough."""


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


def _spans(length: int, tile: int, overlap: int, step: int) -> list[tuple[int, int, int, int]]:
    if length <= tile:
        return [(0, length, 0, length)]
    advance = (tile - overlap) // step * step
    starts = [advance * index for index in range(-(-(length - tile) // advance) + 1)]
    cuts = [0, *((a + tile + b) // 2 for a, b in itertools.pairwise(starts)), length]
    return [(start, min(start + tile, length), cuts[i], cuts[i + 1]) for i, start in enumerate(starts)]


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


def seam_note(tile: int, overlap: int, context: int | None, exact: bool, step: int) -> str:
    """What to know of labels near the seams of tiles; empty where they are those of the whole image."""
    said = f"tiles of {tile} overlap by {overlap}; labels near their seams may differ from those of the whole image: "
    if context is None:
        return said + "this network sees all of an image. A tile larger than the image avoids it"
    safe = safe_overlap(tile, context, step)
    if overlap >= safe:
        return "" if exact else said + "its size matters to this network. A tile larger than the image avoids it"
    said += f"this network sees {context} pixels around each. "
    if safe <= tile // 2:
        return said + f"An overlap of {safe}, the default, avoids it"
    return said + f"A tile of {-(-4 * context // step) * step} with its default overlap avoids it"


def _whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)
