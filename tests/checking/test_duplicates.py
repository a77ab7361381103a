"""Equal and nearly equal images."""

from __future__ import annotations

import numpy as np

from fullconv.checking.duplicates import LEAST_CORRELATION, MOST_BITS, near_pairs


def test_near_pairs_are_those_of_all_comparisons() -> None:
    random = np.random.default_rng(0)
    bases = random.integers(0, 1 << 64, 60, np.uint64)
    hashes, scenes = [], random.integers(0, 256, (60, 256))
    greys = []
    for base, scene in zip(bases.tolist(), scenes, strict=True):
        for bits in (0, 1, 3, 4, 5, 7):
            flips = random.choice(64, bits, replace=False)
            hashes.append(base ^ sum(1 << int(bit) for bit in flips))
            greys.append((scene + random.normal(0, 4 + 3 * bits, 256)).clip(0, 255))
    codes, small = np.array(hashes, np.uint64), np.array(greys).astype(np.uint8)
    expected = [
        [i, j]
        for i in range(len(codes))
        for j in range(i + 1, len(codes))
        if bin(hashes[i] ^ hashes[j]).count("1") <= MOST_BITS
        and np.corrcoef(small[i], small[j])[0, 1] >= LEAST_CORRELATION
    ]
    assert len(expected) > 60
    assert near_pairs(codes, small).tolist() == expected


def test_flat_pictures_are_not_compared() -> None:
    greys = np.full((50, 256), 90, np.uint8)
    assert near_pairs(np.zeros(50, np.uint64), greys).shape == (0, 2)
