from __future__ import annotations

import numpy as np
import pytest

from fullconv import draw
from fullconv.data import Shapes
from fullconv.heatmapper import HeatMap
from fullconv.models.synsets import find_synset


def found(values: np.ndarray, height: int = 200, width: int = 300) -> HeatMap:
    image = Shapes(height=height, width=width).draw(0)[0]
    return HeatMap(image, (find_synset("dog"),), {(height, width): values}, values)


def test_colours_are_the_same_for_the_same_probability_in_every_picture() -> None:
    low, high = np.full((4, 6), 0.1, np.float32), np.full((4, 6), 0.1, np.float32)
    low[0, 0], high[0, 0] = 0.2, 1.0
    image = np.zeros((200, 300, 3), np.uint8)
    first, second = (draw.heat_maps(image, [values], ["a"]) for values in (low, high))
    assert np.array_equal(first[250, 600], second[250, 600])  # 0.1 in both
    assert not np.array_equal(first[30, 470], second[30, 470])


def test_its_repr_has_the_height_first_as_a_prediction() -> None:
    assert repr(found(np.zeros((20, 30), np.float32))).startswith("HeatMap(200x300, ")


def test_the_image_stays_as_it_is_where_the_map_is_empty() -> None:
    values = np.zeros((20, 30), np.float32)
    values[10, 20] = 1
    heat = found(values)
    overlay = heat.overlay()[:200, :300]
    changed = (overlay != heat.image).any(2)
    assert changed[105, 205]
    assert not changed[:80, :150].any()
    assert changed.mean() < 0.05
    nothing = found(np.zeros((20, 30), np.float32))
    assert np.array_equal(nothing.overlay()[:200, :300], nothing.image)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (300, 200), (3000, 2000)])
def test_a_bar_of_colours_is_below(width: int, height: int) -> None:
    heat = found(np.zeros((4, 6), np.float32), height, width)
    below = heat.overlay()[height:]
    colours = {tuple(colour) for colour in below.reshape(-1, 3).tolist()}
    assert {(68, 1, 84), (253, 231, 36)} <= colours  # viridis at 0 and 1
    assert len(below) >= 60


def test_the_summary_states_the_highest_and_whether_that_is_likely() -> None:
    values = np.full((10, 10), 0.02, np.float32)
    assert found(values).summary() == "dog: at most 0.020; probably not there"
    assert not found(values).found
    values[0, 0] = 0.5
    assert found(values).summary() == "dog: at most 0.500; 1.0% of the picture at 0.5 or more"


def test_the_summary_says_where_little_of_the_picture_is_likely() -> None:
    values = np.full((20, 20), 0.02, np.float32)
    values[19, 0] = 0.7
    words = "; only 0.2% of the picture at 0.5 or more: doubtful unless small"
    assert found(values, 20, 20).summary() == f"dog: at most 0.700, at row 19, column 0{words}"
