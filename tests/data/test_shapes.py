from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fullconv.data import Shapes
from fullconv.data.shapes import OUTLINES, SHAPE_CLASSES, _inside
from fullconv.errors import UsageError
from fullconv.formats.open import open_dataset


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
    y, x = np.ogrid[0:400, 0:400]
    dy, dx = (y - 199.5).astype(np.float32), (x - 199.5).astype(np.float32)
    radius = 120.0
    turns = np.linspace(0, 2 * np.pi, 100001)
    areas = {
        "disc": np.pi * radius**2,
        "square": 2 * radius**2,
        "triangle": 3 * np.sqrt(3) / 4 * radius**2,
        "ring": 0.75 * np.pi * radius**2,
        "cross": (4 * 0.96 * 0.25 * 2 - 4 * 0.25**2) * radius**2,
        "star": 0.5 * np.mean((0.68 + 0.32 * np.cos(5 * turns)) ** 2) * 2 * np.pi * radius**2,
        "hexagon": 3 * np.sqrt(3) / 2 * radius**2,
        "half_disc": 0.5 * np.pi * radius**2,
    }
    assert set(areas) == set(OUTLINES)
    for name, area in areas.items():
        for angle in (0.0, 0.7):
            inside = _inside(OUTLINES.index(name), dy, dx, radius, angle)
            assert abs(inside.sum() / area - 1) < 0.01, name
            assert np.hypot(dy, dx)[inside].max() <= radius + 1, name  # it fits into the square it is drawn in


def test_two_hundred_scenes_hold_every_class_of_forty() -> None:
    scenes = Shapes(num_classes=40, lines=1, objects=(4, 8))
    assert len(scenes.classes) == 41
    assert len(set(scenes.classes.names)) == 41
    seen = set(np.unique(np.stack([scenes.draw(i)[1] for i in range(200)])).tolist())
    assert seen == set(range(41))


def test_frequencies_are_as_imbalanced_as_asked() -> None:
    scenes = Shapes(height=24, width=24, imbalance=16, objects=(1, 1), train=4000, num_classes=5)
    firsts = [np.bincount(scenes.draw(i)[1].ravel(), minlength=5)[1:].argmax() for i in range(3000)]
    counts = np.bincount(firsts, minlength=4)
    assert 10 < counts[0] / counts[3] < 26


def test_labels_are_wrong_as_often_as_asked_and_only_in_training() -> None:
    plain = Shapes(height=32, width=32, objects=(1, 1), train=600, val=100)
    noisy = dataclasses.replace(plain, mislabelled=0.4)
    wrong = [(plain.draw(i)[1] != noisy.draw(i)[1]).any() for i in range(700)]
    assert 0.4 - 0.07 < np.mean(wrong[:600]) < 0.4 + 0.07
    assert not any(wrong[600:])
    assert all(np.array_equal(plain.draw(i)[0], noisy.draw(i)[0]) for i in range(5))


@pytest.mark.parametrize("num_classes", [2, 3, 9])
def test_a_mislabelled_shape_never_keeps_its_class(num_classes: int) -> None:
    plain = Shapes(height=32, width=32, objects=(1, 1), train=60, num_classes=num_classes)
    noisy = dataclasses.replace(plain, mislabelled=1.0)
    for index in range(60):
        truth, labels = plain.draw(index)[1], noisy.draw(index)[1]
        assert (labels[truth > 0] != truth[truth > 0]).all()


def test_occlusion_noise_and_bands() -> None:
    apart, over = Shapes(objects=(2, 2)), Shapes(objects=(2, 2), occlusion=1.0)
    covered = [np.mean([(s.draw(i)[1] > 0).mean() for i in range(150)]) for s in (apart, over)]
    assert covered[1] < covered[0]
    quiet, loud = (Shapes(noise=n, objects=(0, 0)).draw(0)[0].astype(float) for n in (0, 30))
    assert np.abs(np.diff(quiet, axis=0)).max() <= 6
    assert 20 < (loud - quiet).std() < 33  # clipping at 0 and 255 takes some
    for bands in (1, 3, 8):
        assert Shapes(bands=bands).draw(0)[0].shape == (96, 96, bands)
        assert open_dataset(f"shapes:bands={bands}").channels == bands


def test_fields_come_from_a_name() -> None:
    spec = open_dataset("shapes:num_classes=12,height=40,width=50,objects=3-6,noise=2.5,train=7")
    scene = spec.splits["val"][0].image
    assert scene.shapes == Shapes(num_classes=12, height=40, width=50, objects=(3, 6), noise=2.5, train=7)
    assert len(spec.classes) == 12
    assert len(spec.split("train")) == 7
    for wrong, words in [
        ("shapes:clases=3", "no field 'clases'"),
        ("shapes:height=tall", "must be a number"),
        ("shapes:num_classes=1", "must lie from 2"),
        ("shapes:objects=5-2", "fewest and the most"),
    ]:
        with pytest.raises(UsageError, match=words):
            open_dataset(wrong)
