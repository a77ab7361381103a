"""The costs of candidate segments, worked by a loop, and the choice among the best."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fullconv.weak.candidates import (
    AMONG,
    MOST,
    Candidates,
    candidates,
    chosen,
    costs,
    drawn_from_best,
    with_cut,
)
from fullconv.weak.drawn import Box

SIZE = (10, 12)


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def iou_of_boxes(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_candidates_are_those_whose_boxes_overlap_most() -> None:
    random = np.random.default_rng(0)
    corners = []
    for _ in range(80):
        left, top = random.integers(0, 10), random.integers(0, 8)
        corners.append((left, top, random.integers(left + 1, 13), random.integers(top + 1, 11)))
    box = Box(1, 2, 1, 9, 8)
    found = candidates(box, np.array(corners), lambda place: rectangle(*corners[place]))
    truth = np.array([iou_of_boxes(rectangle(*box[1:]), rectangle(*one)) for one in corners])
    order = [i for i in np.argsort(-truth, kind="stable")[:MOST] if truth[i] >= 0.3]
    assert len(order) > 5
    assert found.overlaps == pytest.approx(truth[order], abs=1e-6)
    for mask, place in zip(found.masks, order, strict=True):
        assert np.array_equal(mask, rectangle(*corners[place])[1:8, 2:9])
    assert len(candidates(Box(1, 0, 0, 1, 1), np.array([(5, 5, 9, 9)]), lambda _: rectangle(5, 5, 9, 9)).masks) == 0


@pytest.mark.parametrize("background", [0, None])
def test_costs_by_a_loop_over_pixels(background: int | None) -> None:
    random = np.random.default_rng(1)
    box = Box(2, 0, 0, 5, 4)
    found = Candidates(random.random(6).astype(np.float32), random.random((6, 4, 5)) < 0.5)
    chances = random.dirichlet(np.ones(3), (4, 5)).transpose(2, 0, 1)
    counted = random.random((4, 5)) < 0.8
    got = costs(found, box, chances, counted, background, 60)
    for place in range(6):
        losses = []
        for row, column in zip(*np.nonzero(counted), strict=True):
            if found.masks[place, row, column]:
                losses.append(-math.log(chances[2, row, column]))
            elif background is not None:
                losses.append(-math.log(chances[0, row, column]))
        number = len(losses) / counted.sum() if background is None else 1  # of the candidate, or of the box
        assert got[place] == pytest.approx(1 - found.overlaps[place] + 3 * sum(losses) / number / 60)
    assert costs(found, box, None, counted, background, 60) == pytest.approx(1 - found.overlaps)
    assert costs(found, box, chances, counted & False, background, 60) == pytest.approx(1 - found.overlaps)


def test_the_choice_is_any_of_the_five_best() -> None:
    cost = np.array([9.0, 1, 8, 1.01, 1.02, 7, 1.03, 1.04, 1.045])
    drawn = [drawn_from_best(cost, np.random.default_rng(seed)) for seed in range(200)]
    assert set(drawn) == {1, 3, 4, 6, 7}
    assert AMONG == 5
    cost[4] = 1.2  # too much more than the cheapest
    assert {drawn_from_best(cost, np.random.default_rng(seed)) for seed in range(200)} == {1, 3, 6, 7, 8}
    cost[[6, 7, 8]] = 2
    assert {drawn_from_best(cost, np.random.default_rng(seed)) for seed in range(200)} == {1, 3}
    assert drawn_from_best(np.array([2.0]), np.random.default_rng(0)) == 0


def test_a_cut_is_one_more_candidate() -> None:
    found = Candidates(np.array([0.5], np.float32), np.ones((1, 4, 5), bool))
    cut = np.zeros((4, 5), bool)
    assert with_cut(found, cut) is found
    cut[1, 1], cut[3, 4] = True, True  # its own box has 3 x 4 of 20 pixels
    more = with_cut(found, cut)
    assert more.overlaps == pytest.approx([0.5, 0.6])
    assert np.array_equal(more.masks[1], cut)


def test_the_network_chooses_and_smaller_lies_over_larger() -> None:
    large, small, bare, crowd = Box(1, 0, 0, 12, 10), Box(2, 2, 2, 6, 6), Box(1, 9, 0, 11, 2), Box(-1, 11, 9, 12, 10)
    object_ = rectangle(1, 1, 10, 9)
    many = np.stack([object_, *[~object_] * 4])
    of_large = Candidates(np.full(5, 0.9, np.float32), many)
    of_small = Candidates(np.array([0.8], np.float32), np.ones((1, 4, 4), bool))
    nothing = Candidates(np.zeros(0, np.float32), np.zeros((0, 2, 2), bool))
    chances = np.stack([np.where(object_, 0.01, 0.9), np.where(object_, 0.98, 0.05), np.full(SIZE, 0.01)])
    cost = costs(of_large, large, chances, np.ones(SIZE, bool), 0, 120)
    assert cost.argmin() == 0
    only = Candidates(of_large.overlaps[:1], many[:1])
    boxes, found = (large, small, bare, crowd), (only, of_small, nothing, nothing)
    labels, without = chosen(SIZE, boxes, found, chances, 255, 0, 0)
    expected = np.where(object_, 1, 0)
    expected[2:6, 2:6] = 2
    expected[0:2, 9:11] = 255
    expected[0, 9] = 1
    expected[9, 11] = 255
    assert labels.tolist() == expected.tolist()
    assert without == 1
    with_none, _ = chosen(SIZE, (small,), (of_small,), None, 255, None, 0)
    assert (with_none == 2).sum() == 16
    assert (with_none == 255).sum() == 120 - 16
