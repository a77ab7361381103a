"""The dense CRF against a plain O(N^2) mean field, and its filters against sums over all pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv import CRF, dense_crf
from fullconv import crf as refine
from fullconv.errors import UsageError
from fullconv.ops.cpu import lattice as lattice_module
from fullconv.ops.cpu.gaussian import smooth
from fullconv.ops.cpu.lattice import LANES, Lattice

VOC = Path(__file__).parents[2] / "shared" / "data" / "voc_sample"
SIZES = [(30, 40, 21), (33, 27, 2), (1, 50, 8), (40, 1, 9), (12, 12, 1)]
NARROW = CRF(position_deviation=8, colour_deviation=20)


def photograph(height: int, width: int) -> np.ndarray:
    files = sorted(VOC.rglob("*.jpg"))
    if not files:
        pytest.skip("needs the shared VOC sample")
    return np.asarray(Image.open(files[0]).convert("RGB").resize((width, height)))


def scene(height: int, width: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that know more than noise, and an image of blobs and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    label = ((rows // 9) * 3 + columns // 11) % classes
    image = np.clip(label[..., None] * 37 % 200 + rng.normal(30, 12, (height, width, 3)), 0, 255).astype(np.uint8)
    scores = rng.normal(size=(classes, height, width)) + 1.5 * (label == np.arange(classes)[:, None, None])
    chances = np.exp(scores)
    return (chances / chances.sum(0)).astype(np.float32), image


def plain_crf(probabilities: np.ndarray, image: np.ndarray, crf: CRF) -> np.ndarray:
    """The docstring's formula in float64, every pixel with every other."""
    classes, height, width = probabilities.shape
    rows, columns = np.mgrid[:height, :width].reshape(2, -1).astype(float)
    colours = image.reshape(-1, 3).astype(float)
    place = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    colour = ((colours[:, None] - colours) ** 2).sum(-1)
    kernels = [
        np.exp(-place / (2 * crf.position_deviation**2) - colour / (2 * crf.colour_deviation**2)),
        np.exp(-place / (2 * crf.smoothness_deviation**2)),
    ]
    kernels = [k / np.sqrt(np.outer(k.sum(0), k.sum(0))) for k in kernels]
    unary = np.maximum(probabilities.reshape(classes, -1).astype(float), 1e-6)
    unary = np.log(unary / unary.sum(0))
    q = np.exp(unary)
    for _ in range(crf.iterations):
        q = np.exp(unary + crf.appearance * q @ kernels[0] + crf.smoothness * q @ kernels[1])
        q /= q.sum(0)
    return q.reshape(probabilities.shape)


@pytest.mark.parametrize(
    ("height", "width", "classes"), [(30, 40, 21), (33, 27, 2), (1, 50, 8), (40, 1, 9), (12, 12, 1)]
)
@pytest.mark.parametrize("crf", [CRF(), NARROW, CRF(iterations=1, appearance=4, smoothness=0), CRF(iterations=0)])
def test_it_agrees_with_every_pixel_asking_every_other(height: int, width: int, classes: int, crf: CRF) -> None:
    probabilities, image = scene(height, width, classes)
    found = dense_crf(probabilities, image, crf)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain_crf(probabilities, image, crf), atol=1e-3)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


def test_it_agrees_on_a_photograph() -> None:
    image = photograph(48, 64)
    probabilities, _ = scene(48, 64, 21)
    for crf in (CRF(), CRF(position_deviation=20, colour_deviation=5)):
        np.testing.assert_allclose(
            dense_crf(probabilities, image, crf), plain_crf(probabilities, image, crf), atol=1e-3
        )


@pytest.mark.parametrize("colour_deviation", [13.0, 5.0])
def test_the_lattice_is_near_the_exact_filter_on_a_photograph(colour_deviation: float) -> None:
    image = photograph(188, 250)
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width] / 40
    colours = np.moveaxis(image / colour_deviation, 2, 0)
    features = np.stack([columns, rows, *colours], -1).reshape(-1, 5).astype(np.float32)
    values = np.zeros((height * width, LANES), np.float32)
    values[:, 0] = 1
    values[:, 1] = image.reshape(-1, 3)[:, 0] > 128
    found = Lattice(features).filter(values)
    some = np.random.default_rng(0).choice(height * width, 400, replace=False)
    exact = np.stack([np.exp(-0.5 * ((features - features[i]) ** 2).sum(1)) @ values[:, :2] for i in some])
    error = np.abs(found[some, 1] / found[some, 0] - exact[:, 1] / exact[:, 0])
    assert error.mean() < 0.004
    assert np.quantile(error, 0.95) < 0.02


def test_a_photograph_is_refined_alike_by_the_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photograph(75, 100)
    probabilities, _ = scene(75, 100, 5)
    exact = dense_crf(probabilities, image)
    monkeypatch.setattr(refine, "EXACT_PIXELS", 0)
    near = dense_crf(probabilities, image)
    assert (near.argmax(0) == exact.argmax(0)).mean() > 0.95
    assert np.abs(near - exact).mean() < 0.03


def test_both_lattices_are_used_and_refine_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, image = scene(60, 80, 5)
    exact = dense_crf(probabilities, image)
    monkeypatch.setattr(refine, "EXACT_PIXELS", 0)
    taps = []
    for most in (0, 10**9):
        monkeypatch.setattr(lattice_module, "MOST_POINTS", most)
        features = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
        taps.append(len(Lattice(features).taps))
        found = dense_crf(probabilities, image)
        assert (found.argmax(0) == exact.argmax(0)).mean() > 0.98
    assert taps == [2, 3]


def test_the_lattice_keeps_the_sum_of_all_weights_where_pixels_are_dense() -> None:
    """Many points of one cloud: every one sees about the same sum, whatever simplex it lies in."""
    points = np.random.default_rng(0).uniform(-1, 1, (20000, 5)).astype(np.float32) * 0.2
    sums = Lattice(points).filter(np.ones((20000, LANES), np.float32))[:, 0]
    assert sums.std() / sums.mean() < 0.05


@pytest.mark.parametrize(("height", "width", "deviation"), [(20, 30, 3.0), (1, 40, 2.0), (40, 1, 0.5), (7, 90, 30.0)])
def test_smoothing_sums_over_all_pixels(height: int, width: int, deviation: float) -> None:
    values = np.random.default_rng(0).random((height, width, LANES), dtype=np.float32)
    rows, columns = np.arange(height), np.arange(width)
    down = np.exp(-0.5 * ((rows[:, None] - rows) / deviation) ** 2)
    across = np.exp(-0.5 * ((columns[:, None] - columns) / deviation) ** 2)
    expected = np.einsum("ai,bj,ijc->abc", down, across, values)
    np.testing.assert_allclose(smooth(values, deviation), expected, rtol=2e-5)


def test_edges_follow_the_image() -> None:
    image = np.full((40, 40, 3), 20, np.uint8)
    image[:, 20:] = 200
    probabilities = np.full((2, 40, 40), 0.3, np.float32)
    probabilities[0, :, :24], probabilities[1, :, 24:] = 0.7, 0.7  # the network's edge is four pixels off
    refined = dense_crf(probabilities, image, CRF(colour_deviation=13)).argmax(0)
    assert (refined == (np.arange(40) >= 20)).all()


def test_grey_and_many_channels_are_taken() -> None:
    probabilities, image = scene(20, 20, 3)
    grey = image[..., :1]
    alike = dense_crf(probabilities, np.repeat(grey, 3, 2))
    np.testing.assert_array_equal(dense_crf(probabilities, grey), alike)
    np.testing.assert_array_equal(dense_crf(probabilities, grey[..., 0]), alike)
    np.testing.assert_array_equal(
        dense_crf(probabilities, np.concatenate([image, image], 2)), dense_crf(probabilities, image)
    )


def test_what_cannot_be_refined_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, image = scene(20, 20, 3)
    with pytest.raises(UsageError, match="same height and width"):
        dense_crf(probabilities, image[:10])
    with pytest.raises(UsageError, match="uint8 image"):
        dense_crf(probabilities, image.astype(float))
    with pytest.raises(UsageError, match="between 0 and 1"):
        dense_crf(np.log(probabilities), image)
    with pytest.raises(UsageError, match="between 0 and 1"):
        dense_crf(probabilities * np.nan, image)
    with pytest.raises(UsageError, match="above 0"):
        CRF(colour_deviation=0)
    with pytest.raises(UsageError, match="whole number"):
        CRF(iterations=-1)
    with pytest.raises(UsageError, match="whole number"):
        CRF(iterations=2.5)
    with pytest.raises(UsageError, match="above 0"):
        CRF(position_deviation=float("nan"))
    with pytest.raises(UsageError, match="0 or more"):
        CRF(appearance=float("inf"))
    with pytest.raises(UsageError, match="same height and width"):
        dense_crf(np.zeros((3, 0, 5), np.float32), np.zeros((0, 5, 3), np.uint8))
    monkeypatch.setattr(refine, "free_bytes", lambda device: 1000)
    with pytest.raises(UsageError, match="GiB are free"):
        dense_crf(probabilities, image)
    with pytest.raises(UsageError, match="so small"):
        Lattice(np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32) * 3e4)


def test_settings_from_text() -> None:
    assert CRF.parse("") == CRF()
    assert CRF.parse("appearance=3,position-deviation=30,iterations=5") == CRF(3.0, 30.0, iterations=5)
    for wrong, words in [
        ("speed=3", "no field 'speed'"),
        ("appearance=x", "must be a number"),
        ("iterations=1.5", "must be a number"),
    ]:
        with pytest.raises(UsageError, match=words):
            CRF.parse(wrong)
