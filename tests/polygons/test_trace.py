"""Polygons of label maps: no gaps, no overlaps, and drawn again the same labels."""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label as connected

from fullconv.errors import UsageError
from fullconv.polygons.merge import without_small
from fullconv.polygons.trace import trace, without_holes
from fullconv.spec import ClassSet
from tests.builders.polygons import drawn

CLASSES = ClassSet(("a", "b", "c", "d"))
MAPS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda size: arrays(np.uint8, size, elements=st.sampled_from([0, 0, 1, 2, 3]))
)


@given(MAPS)
def test_exact_polygons_drawn_again_are_the_labels(labels: np.ndarray) -> None:
    found = trace(labels, CLASSES, 0)
    assert np.array_equal(drawn(found, labels.shape), labels)
    pieces = sum(connected(labels == value)[1] for value in range(4))
    assert len(found) == pieces
    assert [piece.name for piece in found] == [CLASSES.names[piece.label] for piece in found]


@given(MAPS, st.sampled_from([0.5, 1, 3, 50]), st.integers(0, 6))
def test_neither_gaps_nor_overlaps(labels: np.ndarray, tolerance: float, min_area: int) -> None:
    shapes = [piece.shape for piece in trace(labels, CLASSES, tolerance, min_area)]
    assert all(shapely.is_valid(shapes))
    assert shapely.coverage_is_valid(shapes)
    assert sum(shapely.area(shapes)) == pytest.approx(labels.size)
    assert shapely.unary_union(shapes).equals(shapely.box(0, 0, labels.shape[1], labels.shape[0]))


@given(MAPS, st.integers(2, 9))
def test_small_pieces_become_their_neighbours(labels: np.ndarray, min_area: int) -> None:
    merged = without_small(labels.astype(np.int32), min_area, 255)
    areas = [np.bincount(connected(merged == value)[0].ravel())[1:] for value in range(4)]
    assert min(np.concatenate(areas)) >= min(min_area, labels.size)
    large = [connected(labels == value) for value in range(4)]
    for pieces, count in large:  # a piece that is large enough keeps its pixels
        for piece in range(1, count + 1):
            if (pieces == piece).sum() >= min_area:
                assert len(np.unique(merged[pieces == piece])) == 1
                assert (merged[pieces == piece] == labels[pieces == piece]).all()


def test_the_longest_border_takes_a_small_piece_and_void_none() -> None:
    labels = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [0, 0, 2, 2, 1, 1],
            [0, 0, 2, 1, 1, 1],
            [1, 1, 1, 1, 1, 1],
            [9, 9, 9, 9, 9, 9],
            [9, 3, 9, 9, 9, 9],
        ]
    )
    merged = without_small(labels, 4, 9)
    assert merged[1:3, 2:4].tolist() == [[0, 0], [0, 1]]  # four edges with 0, three with 1
    assert merged[5, 1] == 3
    assert (merged[4] == 9).all()
    assert np.array_equal(np.where(labels == 2, merged, labels), merged)


@pytest.mark.parametrize(("min_area", "left"), [(5, [2]), (6, [2]), (7, [0])])
def test_small_pieces_that_join_are_one_piece(min_area: int, left: list[int]) -> None:
    labels = np.array([[1, 2, 1], [1, 2, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert np.unique(without_small(labels, min_area, 9)[:2]).tolist() == left


def test_background_and_void_have_no_polygon() -> None:
    labels = np.array([[0, 1, 1], [0, 1, 255]], np.uint8)
    found = trace(labels, ClassSet(("background", "cat")), 0)
    assert [(piece.name, piece.shape.area) for piece in found] == [("cat", 3)]


def test_a_part_of_a_larger_map_lies_where_it_is() -> None:
    (piece,) = trace(np.zeros((2, 3), np.uint8), CLASSES, 1, origin=(10, 20))
    assert piece.shape.bounds == (20, 10, 23, 12)


@given(MAPS)
def test_parts_without_holes_are_the_whole(labels: np.ndarray) -> None:
    for piece in trace(labels, CLASSES, 0):
        parts = without_holes(piece.shape)
        assert not any(len(part.interiors) for part in parts)
        assert sum(part.area for part in parts) == piece.shape.area
        assert shapely.unary_union(parts).equals(piece.shape)


def test_bad_settings() -> None:
    labels = np.zeros((2, 2), np.uint8)
    for tolerance in (-1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="the tolerance of polygons"):
            trace(labels, CLASSES, tolerance)
    with pytest.raises(UsageError, match="the smallest area"):
        trace(labels, CLASSES, 1, -1)


def test_noise_of_many_pieces() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (400, 400), np.int32)
    merged = without_small(labels, 20, 9)
    assert min(np.bincount(connected(merged == value)[0].ravel())[1:].min() for value in np.unique(merged)) >= 20


def test_threads_let_no_warning_out() -> None:
    """rasterio sets Python's filters of warnings inside a call; two threads that do so let its warnings out."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(8) as pool:
            warnings.simplefilter("always")
            list(pool.map(lambda i: trace(np.eye(4, dtype=np.int32), CLASSES, 0), range(4000)))
    finally:
        sys.setswitchinterval(interval)
    assert not [str(warning.message) for warning in caught]
