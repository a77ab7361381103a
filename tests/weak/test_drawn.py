"""What is drawn from label maps, against scikit-image, SciPy and brute force."""

from __future__ import annotations

from pathlib import Path

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
def test_scribbles_lie_in_their_class_one_in_each_component(labels: np.ndarray, share: float) -> None:
    scribbles, truth = drawn.scribbles_of(labels, VOID, share), components(labels)
    marked = scribbles != VOID
    assert (scribbles[marked] == labels[marked]).all()
    for number in range(1, truth.max() + 1):
        own = truth == number
        stroke = marked & own
        assert stroke.sum() >= share * own.sum()
        assert measure.label(stroke, connectivity=2).max() == 1 or share > 0.1  # a widened pen may jump a corner


def test_a_long_bar_has_a_stroke_along_its_middle() -> None:
    labels = np.zeros((41, 301), np.uint8)
    labels[10:31, 20:281] = 1
    stroke = drawn.scribbles_of(labels, VOID, 0.05) == 1
    rows, columns = np.nonzero(stroke)
    assert set(rows) == {19, 20, 21}
    assert abs(columns.mean() - 150) < 10  # the way ends in a corner
    assert 0.05 <= stroke.sum() / (21 * 261) < 0.052
    assert columns.max() - columns.min() + 1 == pytest.approx(0.05 * 21 * 261 / 3, abs=3)


def test_equal_label_maps_have_equal_scribbles_of_their_type() -> None:
    labels = Scene(Shapes(height=64, width=80), 3).label_map(5, VOID)
    wide = labels.astype(np.int32)
    for rule in (drawn.scribbles_of, drawn.points_of):
        assert rule(wide, 300).dtype == np.int32
        again = rule(np.asfortranarray(labels), VOID)
        assert again.dtype == np.uint8
        np.testing.assert_array_equal(rule(labels, VOID), again)
        np.testing.assert_array_equal(again, np.where(rule(wide, 300) == 300, VOID, rule(wide, 300)))


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
def test_scribbles_of_camvid_are_three_percent_and_points_a_tenth_of_that() -> None:
    spec = open_dataset(CAMVID)
    shares = {}
    for kind in ("scribbles", "points"):
        items = supervise(spec, kind).spec.split("train")[::12]  # type: ignore[arg-type]
        pairs = [(one.annotation.label_map(11, VOID), one.annotation.mask()) for one in items]  # type: ignore[attr-defined]
        assert all((drawn_map[drawn_map != VOID] == mask[drawn_map != VOID]).all() for drawn_map, mask in pairs)
        shares[kind] = sum((one != VOID).sum() for one, _ in pairs) / sum((mask != VOID).sum() for _, mask in pairs)
    assert shares["scribbles"] == pytest.approx(0.0316, abs=0.0005)
    assert shares["points"] == pytest.approx(0.0029, abs=0.0002)
