from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.ops.edges import edge_band, matched_contours


def maps(seed: int, height: int, width: int, classes: int = 3) -> np.ndarray:
    """Blobs of a few labels."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, classes, (-(-height // 3), -(-width // 3)), dtype=np.uint8)
    return coarse.repeat(3, 0).repeat(3, 1)[:height, :width]


@given(st.integers(0, 10**6), st.integers(1, 17), st.integers(1, 17), st.integers(1, 9), st.booleans())
def test_bands_are_those_of_a_loop_over_neighbours(
    seed: int, height: int, width: int, reach: int, border: bool
) -> None:
    labels = maps(seed, height, width)
    outside = np.pad(labels.astype(int), reach, constant_values=-1)
    for y, x in np.ndindex(height, width):
        square = outside[y : y + 2 * reach + 1, x : x + 2 * reach + 1]
        near = (square != labels[y, x]) & (True if border else square >= 0)
        assert edge_band(labels, reach, border)[y, x] == near.any()


def test_a_band_has_a_width() -> None:
    with pytest.raises(ValueError, match="width must be 1 or more, found 0"):
        edge_band(np.zeros((3, 3), np.uint8), 0)


def contour(labels: np.ndarray, label: int) -> list[tuple[int, int]]:
    found = []
    for y, x in zip(*np.nonzero(labels == label), strict=True):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [place for place in around if 0 <= place[0] < labels.shape[0] and 0 <= place[1] < labels.shape[1]]
        if any(labels[place] not in (label, 255) for place in inside):
            found.append((int(y), int(x)))
    return found


@given(st.integers(0, 10**6), st.integers(1, 14), st.integers(1, 14), st.floats(0.5, 6))
def test_contours_are_matched_as_a_loop_over_pairs_does(seed: int, height: int, width: int, reach: float) -> None:
    prediction, truth = maps(seed, height, width), maps(seed + 1, height, width)
    truth[np.random.default_rng(seed).random(truth.shape) < 0.1] = 255
    seen = np.where(truth == 255, 255, prediction)
    counts = matched_contours(prediction, truth, 3, reach)
    for label in range(3):
        ours, theirs = contour(seen, label), contour(truth, label)

        def near(places: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
            return sum(any(np.hypot(a - c, b - d) <= reach for c, d in others) for a, b in places)

        assert counts[label].tolist() == [len(ours), near(ours, theirs), len(theirs), near(theirs, ours)]


def test_maps_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, found \(2, 3\) and \(3, 2\)"):
        matched_contours(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2, 1)
