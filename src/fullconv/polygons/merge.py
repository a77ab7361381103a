"""Small pieces of a label map become part of their neighbours."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label as connected
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def without_small(ids: np.ndarray, min_area: int, void: int) -> np.ndarray:
    """Give each piece of fewer than ``min_area`` pixels the id of the neighbour with the longest shared border.

    The smallest goes first, and what has become one piece counts as one. Nothing becomes ``void``, and ``void`` becomes
    nothing: a piece with no other neighbour stays.

    Args:
        ids: ``[height, width]``, integers from 0.
        void: the id of pixels that are no class.
    """
    if min_area <= 1:
        return ids
    pieces, owners = pieces_of(ids)
    areas = np.bincount(pieces.ravel(), minlength=len(owners))
    a, b, border = _borders(pieces)
    now = np.arange(len(owners))  # of each piece at first: which it is a part of
    while True:
        small = (areas < min_area) & (owners != void)
        open_ = small[a] & (owners[b] != void)
        if not open_.any():
            return owners[now][pieces]
        a_, b_, border_ = a[open_], b[open_], border[open_]
        order = np.lexsort((b_, -border_, a_))
        a_, b_ = a_[order], b_[order]
        first = np.unique(a_, return_index=True)[1]
        goes, to = a_[first], b_[first]
        # of two small ones that would take each other's id only the smaller moves; the smallest always does
        moves = ~small[to] | (areas[goes] < areas[to]) | ((areas[goes] == areas[to]) & (goes < to))
        owners[goes[moves]] = owners[to[moves]]
        same = owners[a] == owners[b]
        _, joined = connected_components(coo_array((np.ones(same.sum()), (a[same], b[same])), (len(owners),) * 2))
        now = joined[now]
        areas = np.bincount(joined, areas).astype(np.int64)
        kept = np.empty(len(areas), owners.dtype)
        kept[joined] = owners
        owners = kept
        a, b, border = _summed(joined[a], joined[b], border)


def pieces_of(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the piece of each pixel, and the id of each piece."""
    pieces, owners = np.zeros(ids.shape, np.int32), list[int]()
    for value in np.unique(ids):
        mask = ids == value
        found, count = connected(mask)
        pieces[mask] = found[mask] + (len(owners) - 1)
        owners += [value] * count
    return pieces, np.array(owners, ids.dtype)


def _borders(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours, each pair both ways, and how many edges of pixels they share."""
    pairs = []
    for one, other in ((pieces[1:], pieces[:-1]), (pieces[:, 1:], pieces[:, :-1])):
        differ = one != other
        pairs.append(np.stack((one[differ], other[differ])))
    a, b = np.concatenate(pairs, 1)
    return _summed(np.concatenate((a, b)), np.concatenate((b, a)), np.ones(2 * len(a), np.int64))


def _summed(a: np.ndarray, b: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of different pieces, each once, with their borders added."""
    apart = a != b
    size = int(max(a.max(initial=0), b.max(initial=0))) + 1
    pairs, place = np.unique(a[apart].astype(np.int64) * size + b[apart], return_inverse=True)
    return pairs // size, pairs % size, np.bincount(place, border[apart], len(pairs)).astype(np.int64)
