"""What is drawn from label maps, against scikit-image, SciPy and brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from fullconv.data import Shapes
from fullconv.data.shapes import Scene
from fullconv.formats.open import open_dataset
from fullconv.weak import drawn, medial, supervise

VOID = 255
CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"
measure = pytest.importorskip("skimage.measure")

noise = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 14)), elements=st.sampled_from([0, 1, 2, VOID]))
blocks = noise.map(lambda labels: labels.repeat(5, 0).repeat(4, 1))
label_maps = noise | blocks
by_example = settings(max_examples=60, deadline=None)


def components(labels: np.ndarray) -> np.ndarray:
    """scikit-image's numbers, void 0."""
    return np.asarray(measure.label(np.where(labels == VOID, -1, labels.astype(int)), background=-1, connectivity=2))


@given(label_maps, st.sampled_from([None, 0]))
@by_example
def test_boxes_are_those_of_regionprops(labels: np.ndarray, background: int | None) -> None:
    expected = [
        (int(labels[tuple(region.coords[0])]), *np.array(region.bbox)[[1, 0, 3, 2]].tolist())
        for region in measure.regionprops(components(labels))
    ]
    expected = [box for box in expected if box[0] != background]
    assert sorted(drawn.boxes_of(labels, VOID, background)) == sorted(expected)


@given(label_maps)
@by_example
def test_tags_are_the_classes_that_are_there(labels: np.ndarray) -> None:
    assert drawn.tags_of(labels, 3) == set(np.unique(labels).tolist()) - {VOID}


@given(label_maps)
@by_example
def test_each_component_has_one_point_where_it_is_deepest(labels: np.ndarray) -> None:
    points, truth = drawn.points_of(labels, VOID), components(labels)
    marked = points != VOID
    assert (points[marked] == labels[marked]).all()
    _, numbers, count = drawn._components(labels, VOID)
    depth = drawn._depth(numbers)
    places, areas = drawn._deepest(numbers, depth, count)
    assert count == truth.max() == len(np.unique(truth.ravel()[places]))
    assert areas.tolist() == np.bincount(truth.ravel())[truth.ravel()[places]].tolist()
    for place in places.tolist():
        y, x = divmod(place, labels.shape[1])
        own = truth == truth[y, x]
        assert depth[own].max() == depth[y, x]
        square = np.zeros_like(own)
        square[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = True
        assert (marked & own == square & own).all()


@given(label_maps)
@by_example
def test_depth_is_the_distance_to_what_is_another(labels: np.ndarray) -> None:
    _, numbers, _ = drawn._components(labels, VOID)
    depth = drawn._depth(numbers) / medial.STRAIGHT
    for number in range(1, numbers.max() + 1):
        exact = ndimage.distance_transform_edt(np.pad(numbers == number, 1))[1:-1, 1:-1]
        own = numbers == number
        assert (np.abs(depth[own] / exact[own] - 1) < 0.081).all()  # Borgefors: 8 %


@given(label_maps)
@by_example
def test_thinning_keeps_the_shape_of_components(labels: np.ndarray) -> None:
    _, numbers, count = drawn._components(labels, VOID)
    order = np.argsort(drawn._depth(numbers), axis=None, kind="stable")
    kept = np.zeros(numbers.shape, bool)
    medial.thin(numbers, order, kept)
    for number in range(1, count + 1):
        whole, thin = numbers == number, kept & (numbers == number)
        assert measure.label(thin, connectivity=2).max() == 1
        assert measure.euler_number(np.pad(whole, 1), 2) == measure.euler_number(np.pad(thin, 1), 2)  # as many holes


@given(label_maps, st.sampled_from([0.03, 0.3]))
@by_example
def test_scribbles_lie_in_their_class_one_or_two_in_each_component(labels: np.ndarray, share: float) -> None:
    scribbles, truth = drawn.scribbles_of(labels, VOID, share), components(labels)
    marked = scribbles != VOID
    assert (scribbles[marked] == labels[marked]).all()
    areas = np.bincount(truth.ravel())[1:]
    for number, wanted in enumerate(drawn._divided(areas, share), 1):
        stroke = marked & (truth == number)
        assert wanted <= stroke.sum() < wanted + 9
        if share < 0.1:  # a widened pen may jump a corner
            assert measure.label(stroke, connectivity=2).max() <= 1 + (wanted >= 18)
    assert truth.max() <= drawn.stroke_count(labels, VOID) <= 2 * truth.max()


@given(arrays(np.int64, st.integers(0, 12), elements=st.integers(1, 90000)), st.sampled_from([0.03, 0.3]))
@by_example
def test_pixels_are_divided_by_the_roots_of_areas(areas: np.ndarray, share: float) -> None:
    most = max(0.1, share)
    low, high = 0.0, 300.0
    for _ in range(100):  # the factor, by halving
        middle = (low + high) / 2
        enough = np.minimum(middle * np.sqrt(areas), most * areas).sum() >= share * areas.sum()
        low, high = (low, middle) if enough else (middle, high)
    divided = drawn._divided(areas, share)
    np.testing.assert_allclose(divided, np.minimum(high * np.sqrt(areas), most * areas), rtol=1e-9)
    assert divided.sum() == pytest.approx(share * areas.sum())


@given(label_maps, st.integers(1, 3))
@by_example
def test_rims_are_pixels_of_a_depth_with_another_component_nearby(labels: np.ndarray, reach: int) -> None:
    _, numbers, count = drawn._components(labels, VOID)
    depth, rim = drawn._depth(numbers), np.zeros(labels.shape, bool)
    counts = medial.rims(numbers, depth, 3 * reach, 3 * reach + 3, reach, rim)
    assert counts.tolist() == np.bincount(numbers[rim], minlength=count + 1).tolist()
    for y, x in np.ndindex(labels.shape):
        around = numbers[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        near = set(around.ravel().tolist()) - {0, numbers[y, x]}
        assert rim[y, x] == (3 * reach <= depth[y, x] < 3 * reach + 3 and bool(near))


@given(label_maps, st.sampled_from([0.03, 0.3]))
@by_example
def test_strokes_along_borders_are_whole_and_near_another_class(labels: np.ndarray, share: float) -> None:
    _, numbers, count = drawn._components(labels, VOID)
    painted, areas = np.zeros(labels.shape, bool), np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    pixels = drawn._beside_borders(numbers, drawn._depth(numbers), areas, share * areas, painted)
    assert pixels.tolist() == np.bincount(numbers[painted], minlength=count + 1)[1:].tolist()
    for number, (area, found) in enumerate(zip(areas.tolist(), pixels.tolist(), strict=True), 1):
        own, stroke = numbers == number, painted & (numbers == number)
        assert found < share * area / 2 + 9
        assert found == 0 or share * area >= 18
        assert measure.label(stroke, connectivity=2).max() <= 1
        if found:
            others = np.pad((numbers > 0) & ~own, 1)
            ends = np.pad(~own, 1, constant_values=True)
            assert ndimage.distance_transform_cdt(~others)[1:-1, 1:-1][stroke].max() <= 4
            assert ndimage.distance_transform_cdt(~ends)[1:-1, 1:-1][stroke].min() >= 2


def test_a_long_bar_has_a_stroke_along_its_middle_and_one_along_its_border() -> None:
    labels = np.zeros((41, 301), np.uint8)
    labels[10:31, 20:281] = 1
    stroke = drawn.scribbles_of(labels, VOID, 0.05) == 1
    numbers = measure.label(stroke, connectivity=2)
    assert numbers.max() == 2
    top, below = ((numbers == number).nonzero() for number in (1, 2))
    assert set(below[0].tolist()) == {19, 20, 21}
    assert abs(below[1].mean() - 150) < 10  # the way ends in a corner
    area = 21 * 261
    roots = np.sqrt([area, 41 * 301 - area])
    each = 0.05 * 41 * 301 * roots[0] / roots.sum() / 2
    for _, columns in (top, below):
        assert len(columns) == pytest.approx(each, abs=6)
        assert columns.max() - columns.min() + 1 == pytest.approx(each / 3, abs=3)
    first = 22 + area % (2 * (17 + 257) - 4)  # the line at depth 3 has 17 rows and 257 columns
    assert (stroke[11:14, first - 1 : first + 2]).all()
    assert set(top[0].tolist()) == {11, 12, 13}


def test_borders_with_void_and_the_edge_of_the_image_have_no_stroke() -> None:
    labels = np.zeros((60, 60), np.uint8)
    assert drawn.stroke_count(labels, VOID) == 1
    labels[:, 30:] = VOID
    assert drawn.stroke_count(labels, VOID) == 1
    labels[:, 30:] = 1
    assert drawn.stroke_count(labels, VOID) == 4
    columns = set(np.nonzero(drawn.scribbles_of(labels, VOID) != VOID)[1].tolist())
    assert {26, 27, 28, 31, 32, 33} <= columns  # a pixel of each class lies between its stroke and the other
    assert not {29, 30} & columns


def test_equal_label_maps_have_equal_scribbles_of_their_type() -> None:
    labels = Scene(Shapes(height=64, width=80), 3).label_map(5, VOID)
    wide = labels.astype(np.int32)
    for rule in (drawn.scribbles_of, drawn.points_of):
        assert rule(wide, 300).dtype == np.int32
        again = rule(np.asfortranarray(labels), VOID)
        assert again.dtype == np.uint8
        np.testing.assert_array_equal(rule(labels, VOID), again)
        np.testing.assert_array_equal(again, np.where(rule(wide, 300) == 300, VOID, rule(wide, 300)))


@pytest.mark.parametrize("rule", [drawn.points_of, drawn.scribbles_of])
def test_crumbs_are_not_marked_but_for_the_largest_of_a_class(rule: Any) -> None:
    labels = np.zeros((120, 150), np.uint8)  # 18,000 pixels: below 6 it is a crumb
    labels[10:12, 10:13] = 1  # just none
    labels[30:31, 10:15] = 1  # a crumb
    labels[50:52, 10:12] = 2  # the largest of its class
    labels[70, 10] = 2
    labels[90:100, 10:60] = VOID
    labels[95, 20:24] = 0  # a crumb in void
    marks = rule(labels, VOID)
    assert drawn._pieces(labels, VOID)[1] == 3
    for place, label in ((np.s_[10:12, 10:13], 1), (np.s_[50:52, 10:12], 2), (np.s_[:], 0)):
        assert (marks[place] == label).any()
    for place in (np.s_[30, 10:15], np.s_[70, 10:11], np.s_[95, 20:24]):
        assert (marks[place] == VOID).all()


def test_crumbs_are_found_as_by_brute_force() -> None:
    random = np.random.default_rng(0)
    labels = ndimage.zoom(random.integers(0, 4, (20, 25)).astype(np.uint8), 6, order=0)
    labels[random.random(labels.shape) < 0.03] = 3
    labels[random.random(labels.shape) < 0.01] = VOID
    truth, (numbers, count) = components(labels), drawn._pieces(labels, VOID)
    regions = measure.regionprops(truth)
    most = {int(labels[tuple(one.coords[0])]): 0 for one in regions}
    for one in regions:
        label = int(labels[tuple(one.coords[0])])
        most[label] = max(most[label], int(one.area))
    found = [
        one for one in regions if one.area >= labels.size / 3000 or one.area == most[int(labels[tuple(one.coords[0])])]
    ]
    assert count == drawn.point_count(labels, VOID) == len(found) < len(regions)
    assert all(len(np.unique(numbers[tuple(one.coords.T)])) == 1 and numbers[tuple(one.coords[0])] for one in found)
    assert (numbers > 0).sum() == sum(one.area for one in found)


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
def test_scribbles_of_camvid_are_three_percent_and_points_far_less() -> None:
    spec = open_dataset(CAMVID)
    shares = {}
    for kind in ("scribbles", "points"):
        items = supervise(spec, kind).spec.split("train")[::12]
        pairs = [(one.annotation.label_map(11, VOID), one.annotation.mask()) for one in items]
        assert all((drawn_map[drawn_map != VOID] == mask[drawn_map != VOID]).all() for drawn_map, mask in pairs)
        shares[kind] = sum((one != VOID).sum() for one, _ in pairs) / sum((mask != VOID).sum() for _, mask in pairs)
    assert shares["scribbles"] == pytest.approx(0.0303, abs=0.0005)
    assert shares["points"] == pytest.approx(0.0018, abs=0.0001)
