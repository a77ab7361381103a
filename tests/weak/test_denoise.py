"""The three rules, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.crf import CRF, dense_crf
from fullconv.weak.boxes import filled, inner
from fullconv.weak.denoise import denoise, restricted
from fullconv.weak.drawn import Box

WITH = 255, 0
"""The ignored id and the background."""
WITHOUT = 255, None
IMAGE = np.zeros((6, 8, 3), np.uint8)


def chances_of(labels: np.ndarray, sure: float = 0.8) -> np.ndarray:
    """Probabilities whose most probable class is that of a map."""
    found = np.full((3, *labels.shape), (1 - sure) / 2, np.float32)
    np.put_along_axis(found, labels[None].astype(np.int64), sure, 0)
    return found


def test_outside_the_boxes_is_background_and_inside_only_what_they_name() -> None:
    seen = np.ones((6, 8), np.uint8)  # cat everywhere
    seen[:, 6:] = 2
    box = Box(1, 2, 1, 7, 5)
    labels, found = denoise(chances_of(seen), IMAGE, (box,), filled((box,), (6, 8), *WITH), *WITH, None)
    expected = np.zeros((6, 8), np.uint8)
    expected[1:5, 2:6] = 1  # column 6 is dog, which has no box; neither of the others is likelier
    assert labels.tolist() == expected.tolist()
    assert (found.pixels, found.outside, found.boxes, found.reset) == (48, 48 - 16, 1, 0)


@pytest.mark.parametrize(("rows", "reset"), [(2, 0), (1, 1)])
def test_a_segment_of_less_than_half_its_box_goes_back(rows: int, reset: int) -> None:
    box = Box(1, 2, 1, 6, 5)  # 4 x 4
    seen = np.zeros((6, 8), np.uint8)
    seen[1 : 1 + rows, 2:6] = 1
    first = inner((box,), (6, 8), *WITH)
    labels, found = denoise(chances_of(seen), IMAGE, (box,), first, *WITH, None)
    assert found.reset == reset
    assert labels.tolist() == (first if reset else seen).tolist()
    assert {255} <= set(np.unique(first[1:5, 2:6]))


def test_what_a_smaller_box_covers_is_not_counted_against_the_larger() -> None:
    large, small = Box(1, 0, 0, 8, 6), Box(2, 0, 0, 6, 5)  # 48 pixels, of which 30 are covered: 18 are its own
    seen = np.full((6, 8), 2, np.uint8)
    seen[5, :] = 1
    seen[0, 6:] = 1  # 10 of the 18; of the 48 they are less than half
    first = filled((large, small), (6, 8), *WITH)
    labels, found = denoise(chances_of(seen), IMAGE, (large, small), first, *WITH, None)
    assert (found.boxes, found.reset) == (2, 0)
    assert (labels[5, :] == 1).all()
    assert (labels[:5, :6] == 2).all()
    seen[5, :] = 0
    labels, found = denoise(chances_of(seen), IMAGE, (large, small), first, *WITH, None)
    assert found.reset == 1
    assert np.array_equal(labels, first)  # the small one was right already


def test_without_a_background_class_the_outside_is_void() -> None:
    box = Box(1, 2, 1, 6, 5)
    labels, _ = denoise(
        chances_of(np.zeros((6, 8), np.uint8)), IMAGE, (box,), filled((box,), (6, 8), *WITHOUT), *WITHOUT, None
    )
    assert (labels[1:5, 2:6] == 1).all()  # the only class that can be there
    outside = np.ones((6, 8), bool)
    outside[1:5, 2:6] = False
    assert (labels[outside] == 255).all()


def test_under_a_box_of_no_class_is_void_and_without_boxes_all_is_background() -> None:
    seen = np.ones((6, 8), np.uint8)
    crowd, box = Box(-1, 0, 0, 8, 6), Box(1, 1, 1, 3, 3)
    labels, found = denoise(chances_of(seen), IMAGE, (crowd, box), filled((crowd, box), (6, 8), *WITH), *WITH, None)
    assert (labels[1:3, 1:3] == 1).all()
    assert (labels == 255).sum() == 48 - 4
    assert found.boxes == 1
    labels, found = denoise(chances_of(seen), IMAGE, (), np.zeros((6, 8), np.uint8), *WITH, CRF())
    assert not labels.any()
    assert found.outside == 48


def test_edges_follow_the_image_by_the_dense_crf() -> None:
    image = np.full((24, 24, 3), 40, np.uint8)
    image[6:18, 6:18] = 220
    seen = np.zeros((24, 24), np.uint8)
    seen[7:19, 5:17] = 1  # a pixel off
    box = Box(1, 4, 5, 19, 20)
    chances = chances_of(seen, 0.6)
    first = filled((box,), (24, 24), *WITH)
    crf = CRF(position_deviation=10)
    labels, _ = denoise(chances, image, (box,), first, *WITH, crf)
    assert np.array_equal(labels == 1, image[..., 0] == 220)
    can = np.zeros((3, 24, 24), bool)
    can[0] = True
    can[1, 5:20, 4:19] = True
    refined = dense_crf(restricted(chances, can), image, crf)
    assert np.array_equal(refined.argmax(0), labels)


def test_restricted_probabilities_add_up_to_one() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.ones(3), (6, 8)).transpose(2, 0, 1).astype(np.float16)
    can = random.random((3, 6, 8)) < 0.5
    found = restricted(chances, can)
    assert found.sum(0) == pytest.approx(np.ones((6, 8)))
    some = can.any(0)
    assert not found[:, some][~can[:, some]].any()
    assert found[:, ~some] == pytest.approx(chances[:, ~some], abs=2e-3)
