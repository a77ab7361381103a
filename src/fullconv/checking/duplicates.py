"""Images that are equal, or nearly: digests, and a difference hash of a small grey picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from fullconv.draw import as_rgb

MOST_BITS = 4
"""Hashes of nearly equal images differ in at most so many of their 64 bits."""
LEAST_CORRELATION = 0.985
"""And their grey pictures of 16 x 16 correlate at least so well; re-encoded or smaller copies reach 0.999."""
FLATTEST = 2.0
"""Grey pictures with a smaller standard deviation (of 255) show too little to be compared."""
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
"""Parts of a hash, (first bit, bits). Of ``MOST_BITS + 1`` parts at least one is equal in near hashes."""
LARGEST_BUCKET = 1000
"""Hashes of one bucket are compared with so many of those that follow in order, so that the time stays bounded."""

_POPCOUNT = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


class Grey(NamedTuple):
    """A picture reduced for comparison: ``gradients`` uint8 ``[8, 9]``, ``reduced`` uint8 ``[256]`` (16 x 16)."""

    gradients: np.ndarray
    reduced: np.ndarray


def small_grey(image: np.ndarray) -> Grey:
    """An image uint8 ``[h, w, c]`` as two small grey pictures, each of mean values."""
    picture = Image.fromarray(np.ascontiguousarray(as_rgb(image))).convert("L")
    step = max(1, min(picture.size) // 64)
    picture = picture.reduce(step)
    small, large = (picture.resize(size, Image.Resampling.BOX) for size in ((9, 8), (16, 16)))
    return Grey(np.asarray(small), np.asarray(large).ravel())


def difference_hash(grey: Grey) -> int:
    """64 bits: whether each of 8 x 9 grey values is less than the one to its right."""
    rising = grey.gradients[:, 1:] > grey.gradients[:, :-1]
    return int.from_bytes(np.packbits(rising).tobytes(), "big")


def equal_groups(digests: Sequence[bytes]) -> list[list[int]]:
    """Places that hold one digest, in order, for each digest that is there more than once."""
    places: dict[bytes, list[int]] = {}
    for place, digest in enumerate(digests):
        places.setdefault(digest, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def near_pairs(hashes: np.ndarray, greys: np.ndarray) -> np.ndarray:
    """Pairs of nearly equal images, int64 ``[pairs, 2]``, the smaller place first.

    Args:
        hashes: uint64 ``[n]``.
        greys: uint8 ``[n, 256]``.
    """
    values = greys.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    spread = values.std(1)
    use = np.flatnonzero(spread >= FLATTEST)
    values = values[use] / (spread[use, None] * np.sqrt(np.float32(greys.shape[1])))
    found = [
        np.sort(pairs[(values[pairs[:, 0]] * values[pairs[:, 1]]).sum(1) >= LEAST_CORRELATION], axis=1)
        for pairs in _close_hashes(hashes[use])
    ]
    if not found:
        return np.zeros((0, 2), np.int64)
    return use[np.unique(np.concatenate(found), axis=0)]


def _close_hashes(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of places whose hashes differ in few bits, int64 ``[pairs, 2]``; some of them several times."""
    for first, bits in BANDS:
        keys = (hashes >> np.uint64(first)) & np.uint64((1 << bits) - 1)
        order = np.lexsort((hashes, keys))
        keys, sorted_hashes = keys[order], hashes[order]
        left = np.arange(len(order))
        for step in range(1, LARGEST_BUCKET + 1):
            left = left[left + step < len(order)]
            left = left[keys[left] == keys[left + step]]
            if not len(left):
                break
            close = left[_bits(sorted_hashes[left] ^ sorted_hashes[left + step]) <= MOST_BITS]
            yield np.stack([order[close], order[close + step]], 1)


def _bits(values: np.ndarray) -> np.ndarray:
    """How many bits of each uint64 are set."""
    counts: np.ndarray = _POPCOUNT[values.view(np.uint16).reshape(-1, 4)].sum(1)
    return counts
