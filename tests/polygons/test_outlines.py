"""Outlines against the fillers of the tools that read them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw
from scipy import ndimage

from fullconv.polygons.outlines import outlines


def by_pillow(outline: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    picture = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(picture).polygon([(int(x), int(y)) for x, y in outline], outline=1, fill=1)
    return np.asarray(picture).astype(int)


def by_opencv(outline: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """As Ultralytics fills a line of a text file."""
    return cv2.fillPoly(np.zeros(size, np.uint8), [outline.astype(np.int32)], 1).astype(int)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)))
def test_they_fill_to_the_mask_each_pixel_once(mask: np.ndarray) -> None:
    found = outlines(mask)
    assert all(len(outline) >= 3 for outline in found)
    np.testing.assert_array_equal(sum((by_pillow(o, mask.shape) for o in found), np.zeros(mask.shape, int)), mask)


@pytest.mark.parametrize("seed", range(4))
def test_blobs_with_holes(seed: int) -> None:
    """Few outlines of few points; OpenCV fills them alike."""
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).random((90, 120)), 4) > 0.5
    found = outlines(mask)
    for fill in (by_pillow, by_opencv):
        np.testing.assert_array_equal(sum(fill(o, mask.shape) for o in found), mask)
    pieces, holes = (ndimage.label(m, s)[1] for m, s in ((mask, np.ones((3, 3))), (~np.pad(mask, 1), None)))
    assert len(found) <= pieces + 4 * (holes - 1)
    edge = mask & ~ndimage.binary_erosion(mask)
    assert sum(map(len, found)) < 0.8 * edge.sum()


def test_a_rectangle_is_its_four_corners() -> None:
    mask = np.zeros((6, 9), bool)
    mask[1:4, 2:8] = True
    (found,) = outlines(mask)
    assert sorted(map(tuple, found.tolist())) == [(2, 1), (2, 3), (7, 1), (7, 3)]
