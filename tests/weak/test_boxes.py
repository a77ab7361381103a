"""Label maps of boxes against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.weak.boxes import OUTSIDE, allowed, area, filled, inner, middle, owners
from fullconv.weak.drawn import Box

HEIGHT, WIDTH = 9, 12


@st.composite
def some_boxes(draw: st.DrawFn) -> tuple[Box, ...]:
    def one() -> Box:
        left, top = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
        right, bottom = draw(st.integers(left + 1, WIDTH)), draw(st.integers(top + 1, HEIGHT))
        return Box(draw(st.integers(-1, 2)), left, top, right, bottom)

    return tuple(one() for _ in range(draw(st.integers(0, 5))))


def over(boxes: tuple[Box, ...], row: int, column: int) -> list[int]:
    """The boxes that a pixel lies in, the uppermost last: by area, and of equal areas by place."""
    at = [i for i, b in enumerate(boxes) if b.top <= row < b.bottom and b.left <= column < b.right]
    return sorted(at, key=lambda i: (-area(boxes[i]), i))


@settings(max_examples=60, deadline=None)
@given(some_boxes(), st.sampled_from([0, None]))
def test_pixel_by_pixel(boxes: tuple[Box, ...], background: int | None) -> None:
    void, around = 255, 255 if background is None else background
    full, middles = (paint(boxes, (HEIGHT, WIDTH), void, background) for paint in (filled, inner))
    whose, can = owners(boxes, (HEIGHT, WIDTH)), allowed(boxes, (3, HEIGHT, WIDTH), background)
    assert full.dtype == np.uint8
    for row in range(HEIGHT):
        for column in range(WIDTH):
            here = over(boxes, row, column)
            if not here:
                assert full[row, column] == middles[row, column] == around
                assert whose[row, column] == OUTSIDE
                assert np.flatnonzero(can[:, row, column]).tolist() == ([0] if around == 0 else [])
                continue
            top = boxes[here[-1]]
            label = void if top.label < 0 else top.label
            assert full[row, column] == label
            m = middle(top)
            in_middle = m.top <= row < m.bottom and m.left <= column < m.right
            assert middles[row, column] == (label if in_middle else void)
            assert whose[row, column] == here[-1]
            named = {boxes[i].label for i in here}
            known = {0, 1, 2} if -1 in named else named | ({0} if around == 0 else set())
            assert set(np.flatnonzero(can[:, row, column])) == known


@pytest.mark.parametrize(("side", "kept"), [(1, 1), (2, 1), (10, 4), (100, 45), (101, 45)])
def test_the_middle_has_a_fifth_of_the_area_and_is_in_the_middle(side: int, kept: int) -> None:
    found = middle(Box(1, 7, 3, 7 + side, 3 + 2 * side))
    assert found.right - found.left == kept
    assert abs((found.left - 7) - (7 + side - found.right)) <= 1
    assert abs((found.top - 3) - (3 + 2 * side - found.bottom)) <= 1
    assert side < 10 or area(found) / (2 * side * side) == pytest.approx(0.2, abs=0.03)


def test_more_classes_than_a_byte_holds() -> None:
    labels = filled([Box(300, 0, 0, 2, 1), Box(-1, 2, 0, 3, 1)], (1, 4), 65535, 0)
    assert labels.tolist() == [[300, 300, 65535, 0]]
