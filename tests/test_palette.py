from __future__ import annotations

import numpy as np
import pytest

from fullconv.palette import BACKGROUND, DISTINCT, distinct_palette, is_background, voc_palette

SIGHTS = {  # Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
STATED = {  # as docs/pictures.md states them: classes, normal, deuteranopia, protanopia
    2: (34, 32, 33),
    5: (31, 23, 22),
    12: (17, 12, 12),
    21: (12, 8, 8),
    40: (8, 6, 6),
}


def smallest(colours: list[tuple[int, int, int]], sight: str) -> float:
    """The smallest CIEDE2000 of two of them, as seen."""
    color = pytest.importorskip("skimage.color", reason="the oracle of colour differences")
    value = np.array(colours, float) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ SIGHTS[sight].T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = color.rgb2lab(seen[None])[0]
    first, second = np.triu_indices(len(colours), 1)
    return float(color.deltaE_ciede2000(lab[first], lab[second]).min())


def names(count: int, background: bool) -> tuple[str, ...]:
    return tuple("background" if background and not i else f"class_{i}" for i in range(count))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("background", [False, True])
def test_colours_stay_apart_for_2_to_40_classes(sight: str, background: bool) -> None:
    place = list(SIGHTS).index(sight)
    for count in range(2, 41):
        found = smallest(list(distinct_palette(names(count, background))), sight)
        stated = next(values[place] for limit, values in STATED.items() if count <= limit)
        assert found >= stated, (count, found)


def test_the_measure_finds_the_fault_of_voc_colours_for_own_data() -> None:
    """Building, Car and Pedestrian were all dark red."""
    assert smallest(list(voc_palette(12)), "deuteranopia") < 6
    assert smallest(list(voc_palette(40)), "protanopia") < 3


def test_no_colour_is_lost_on_white_paper_or_in_black_lines() -> None:
    for colour in DISTINCT:
        for edge in ((255, 255, 255), (0, 0, 0)):
            assert smallest([colour, edge], "normal") > 10


def test_a_first_class_that_is_background_is_light_and_the_others_keep_their_order() -> None:
    assert distinct_palette(("background", "cat")) == (BACKGROUND, DISTINCT[0])
    assert distinct_palette(("cat", "background")) == DISTINCT[:2]
    assert [is_background(name) for name in ("_background_", "Background", "bg", "__background__", "ground", "_")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip


def test_up_to_256_classes_every_colour_is_another() -> None:
    assert len(set(distinct_palette(names(256, True)))) == 256
    assert len(distinct_palette(names(1000, False))) == 1000
