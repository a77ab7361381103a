from __future__ import annotations

import math

import numpy as np
import pytest

from fullconv.evaluation.boundary import BoundaryCounts
from fullconv.spec import ClassSet

CLASSES = ClassSet(("background", "square", "never"))


def square(top: int, left: int, side: int = 20, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    labels = np.zeros(size, np.uint8)
    labels[top : top + side, left : left + side] = 1
    return labels


def boundary_of(mask: np.ndarray) -> np.ndarray:
    """As the paper's authors make it: a mask less its erosion, as often as the band is wide, framed by zeros."""
    cv2 = pytest.importorskip("cv2")
    width = max(1, round(0.02 * math.hypot(*mask.shape)))
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & (eroded == 0)


def test_boundary_iou_is_that_of_eroded_masks() -> None:
    counts = BoundaryCounts(CLASSES)
    both, either = np.zeros(3), np.zeros(3)
    random = np.random.default_rng(0)
    for _ in range(5):
        truth = random.integers(0, 2, (8, 9), dtype=np.uint8).repeat(11, 0).repeat(13, 1)
        prediction = np.roll(truth, random.integers(-3, 4, 2), (0, 1))
        counts.update(prediction, truth)
        for label in range(3):
            ours, theirs = boundary_of(prediction == label), boundary_of(truth == label)
            both[label] += (ours & theirs).sum()
            either[label] += (ours | theirs).sum()
    found = counts.scores()
    assert found.iou[:2] == tuple((both[:2] / either[:2]).tolist())
    assert math.isnan(found.iou[2])
    assert found.mean_iou == pytest.approx((found.iou[0] + found.iou[1]) / 2)


def test_by_hand() -> None:
    """A square of 20 moved by one pixel in an image whose diagonal is 100: a band of 2, contours within 0.75."""
    counts = BoundaryCounts(CLASSES)
    counts.update(square(20, 31), square(20, 30))
    found = counts.scores()
    # bands of 20² - 16² = 144 pixels; in both: 19 columns of 4 rows, and 2 columns of 16 rows
    assert found.iou[1] == pytest.approx(108 / (2 * 144 - 108))
    # rings of 76 pixels share 19 of each of two rows
    assert found.f[1] == pytest.approx(38 / 76)
    # the ring inside (76) and outside (84), of which two columns of 20 are wrong
    assert found.trimap[1].pixels == 76 + 84
    assert found.trimap[1].pixel_accuracy == pytest.approx(1 - 40 / 160)


def test_contours_within_reach_are_right() -> None:
    counts = BoundaryCounts(CLASSES)
    counts.update(square(20, 31, size=(120, 160)), square(20, 30, size=(120, 160)))  # reach: 1.5
    assert counts.scores().f[:2] == (1, 1)


def test_f_is_a_mean_over_the_images_that_have_a_contour() -> None:
    counts = BoundaryCounts(CLASSES)
    counts.update(square(20, 30), square(20, 30))
    counts.update(np.zeros((60, 80), np.uint8), square(20, 30))  # missed
    counts.update(np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8))  # no contour
    found = counts.scores()
    assert found.f[:2] == (0.5, 0.5)
    assert math.isnan(found.f[2])
    assert found.mean_f == 0.5


def test_what_the_truth_leaves_out_is_no_error() -> None:
    truth = square(20, 30)
    truth[:, 30:] = 255
    prediction = square(20, 30)
    prediction[:, 40:] = 2
    counts = BoundaryCounts(CLASSES)
    counts.update(prediction, truth)
    found = counts.scores()
    assert found.iou[0] == 1
    assert math.isnan(found.iou[1])
    assert math.isnan(found.f[0])  # its only edge is one to what nobody knows
    assert found.trimap[2].pixels == 2 * 60


def test_a_perfect_map_scores_one_and_nothing_scores_nan() -> None:
    counts = BoundaryCounts(CLASSES)
    assert math.isnan(counts.scores().mean_iou)
    counts.update(square(5, 5), square(5, 5))
    found = counts.scores()
    assert found.mean_iou == found.mean_f == found.trimap[1].mean_iou == 1
