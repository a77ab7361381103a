"""Annotations as boxes, strokes and tags in whole pixels, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.data.annotations import IGNORED, Annotation, box_ring, turned
from fullconv.weak.annotated import boxes_in, strokes_in, tags_in
from fullconv.weak.drawn import Box

SIZE = (20, 30)


def box(*sides: float, label: int = 1, **rest: object) -> Annotation:
    return Annotation(label, "box", (box_ring(*sides),), name="cat", **rest)


def line(*places: tuple[float, float], label: int = 1, kind: str = "line") -> Annotation:
    return Annotation(label, kind, (np.array(places, float),), name=f"class {label}")


class Told(list[tuple[str, str]]):
    def __call__(self, sort: str, name: str) -> None:
        self.append((sort, name))


@pytest.mark.parametrize(
    ("sides", "expected", "sorts"),
    [
        ((2, 3, 8, 9), [(1, 2, 3, 8, 9)], []),
        ((2.4, 3.6, 8.4, 9.6), [(1, 2, 4, 8, 10)], []),  # the pixels whose centre lies inside
        ((-0.5, -0.5, 30.4, 20.4), [(1, 0, 0, 30, 20)], []),  # rounding is no mistake
        ((-5, 3, 8, 40), [(1, 0, 3, 8, 20)], ["cut"]),
        ((40, 3, 50, 9), [], ["outside"]),
        ((2, -9, 8, -1), [], ["outside"]),
        ((8, 3, 2, 9), [], ["empty"]),  # inverted
        ((2, 9, 8, 3), [], ["empty"]),
        ((2, 3, 2, 9), [], ["empty"]),
        ((2.6, 3, 2.9, 9), [], ["empty"]),  # no pixel's centre
    ],
)
def test_boxes_in_pixels(sides: tuple[float, ...], expected: list[tuple[int, ...]], sorts: list[str]) -> None:
    told = Told()
    assert list(boxes_in([box(*sides)], SIZE, "a", told)) == [Box(*one) for one in expected]
    assert [sort for sort, _ in told] == sorts


def test_a_turned_box_is_its_bounding_box() -> None:
    ring = turned(box_ring(10, 8, 20, 12), (15, 10), 90)
    assert boxes_in([Annotation(1, "box", (ring,))], SIZE, "a") == (Box(1, 13, 5, 17, 15),)


def test_boxes_of_crowds_and_of_no_class_teach_nothing_and_parts_of_objects_are_no_boxes() -> None:
    told = Told()
    person, head = box(2, 2, 9, 12, instance=0), box(3, 3, 5, 5, label=IGNORED, instance=0)
    strange, crowd = box(12, 2, 15, 6, label=IGNORED, instance=1), box(20, 2, 28, 9, label=2, crowd=True)
    found = boxes_in([person, head, strange, crowd], SIZE, "a", told)
    assert found == (Box(1, 2, 2, 9, 12), Box(IGNORED, 12, 2, 15, 6), Box(IGNORED, 20, 2, 28, 9))
    assert told == [("classless", "cat")]


def test_objects_of_masks_count_as_boxes_beside_boxes() -> None:
    left, right = np.array([(2, 3), (6, 3), (4, 8)], float), np.array([(8, 3), (11, 3), (9, 9.5)], float)
    parts = [Annotation(1, "mask", (ring,), instance=4) for ring in (left, right)]
    assert boxes_in([*parts, box(20, 2, 25, 9)], SIZE, "a") == (Box(1, 20, 2, 25, 9), Box(1, 2, 3, 11, 10))


def test_strokes_are_three_pixels_wide_and_points_squares() -> None:
    labels = strokes_in(
        [line((4.5, 6.5), (14.5, 6.5)), line((20.2, 12.9), kind="point", label=2)], "scribbles", SIZE, "a"
    )
    expected = np.full(SIZE, IGNORED)
    expected[11:14, 19:22] = 2
    assert (labels[11:14, 19:22] == 2).all()
    ys, xs = np.nonzero(labels == 1)
    assert set(ys) == {5, 6, 7}
    assert {4, 14} <= set(xs)
    assert (labels == 2).sum() == 9


def test_only_points_are_points_and_outlines_are_no_strokes() -> None:
    shapes = [line((4, 6), (14, 6)), line((20, 12), kind="point", label=2), line((1, 1), (9, 1), (5, 9), kind="mask")]
    assert set(np.unique(strokes_in(shapes, "points", SIZE, "a"))) == {IGNORED, 2}
    assert set(np.unique(strokes_in(shapes, "scribbles", SIZE, "a"))) == {IGNORED, 1, 2}
    assert (strokes_in(shapes, "scribbles", SIZE, "a")[8] == IGNORED).all()


def test_strokes_of_different_classes_over_each_other_teach_nothing_there() -> None:
    told = Told()
    across, down = line((2, 10), (27, 10)), line((15, 2), (15, 17), label=2)
    labels = strokes_in([across, down, line((2, 10), (9, 10))], "scribbles", SIZE, "a", told)
    assert (labels[9:12, 14:17] == IGNORED).all()
    assert told == [("conflict", "9 pixels")]
    assert labels[10, 5] == 1
    assert labels[4, 15] == 2


def test_strokes_outside_and_of_no_class_are_told() -> None:
    told = Told()
    labels = strokes_in(
        [line((40, 40), (50, 50)), line((-9, 3), kind="point"), line((2, 2), (9, 9), label=IGNORED)],
        "scribbles", SIZE, "a", told,
    )  # fmt: skip
    assert (labels == IGNORED).all()
    assert [sort for sort, _ in told] == ["outside", "outside", "classless"]


def test_a_stroke_that_leaves_the_image_is_drawn_as_far_as_it_goes() -> None:
    labels = strokes_in([line((-10, 5), (60, 5))], "scribbles", SIZE, "a")
    assert (labels[5] == 1).all()


def test_tags_are_the_tags_else_what_else_was_annotated() -> None:
    told = Told()
    assert tags_in([Annotation(3, "tag"), Annotation(IGNORED, "tag", name="sunny"), box(1, 1, 3, 3)], told) == {3}
    assert told == [("classless", "sunny")]
    assert tags_in([box(1, 1, 3, 3), line((1, 1), (2, 2), label=2)]) == {1, 2}
