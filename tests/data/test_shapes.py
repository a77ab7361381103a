from __future__ import annotations

import numpy as np

from fullconv.data import Shapes
from fullconv.data.shapes import SHAPE_CLASSES, _inside


def test_scenes_are_functions_of_seed_and_index() -> None:
    a, b = Shapes(seed=1).draw(5), Shapes(seed=1).draw(5)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0], Shapes(seed=2).draw(5)[0])
    assert not np.array_equal(a[0], Shapes(seed=1).draw(6)[0])


def test_any_size_and_every_class() -> None:
    image, labels = Shapes(height=33, width=70).draw(0)
    assert image.shape == (33, 70, 3)
    assert labels.shape == (33, 70)
    seen = np.unique(np.concatenate([Shapes().draw(i)[1].ravel() for i in range(20)]))
    assert seen.tolist() == list(range(len(SHAPE_CLASSES)))


def test_areas_are_those_of_geometry() -> None:
    """Oracle: area formulas; the masks are exact to the border pixels."""
    y, x = np.mgrid[0:400, 0:400].astype(np.float64) - 199.5
    radius = 120.0
    areas = {
        1: np.pi * radius**2,
        2: (2 * 0.85 * radius) ** 2,
        3: 3 * np.sqrt(3) / 4 * radius**2,
        4: 0.75 * np.pi * radius**2,
    }
    for kind, area in areas.items():
        for angle in (0.0, 0.7):
            assert abs(_inside(kind, y, x, radius, angle).sum() / area - 1) < 0.01, kind
