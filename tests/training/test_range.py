"""Other than 8-bit images from the folder to the masks: train, evaluate, predict, resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from safetensors.torch import save_file

import fullconv
from fullconv.cli.main import run as command
from fullconv.data import read_sample
from fullconv.errors import DataError, ModelFileError, UsageError
from fullconv.formats.open import open_dataset
from fullconv.models import build_model
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing, Values
from fullconv.training import start
from tests.builders.bands import MASK, folder, nodata_and_inf

SMALL: dict[str, Any] = {
    "encoder": "resnet10t", "model": "fcn16s", "epochs": 1, "batch_size": 3, "workers": 0, "quiet": True,
    "model_args": {"head_channels": 16},
}  # fmt: skip


def five_bands(random: np.random.Generator) -> np.ndarray:
    """What the mask shows is in the last band, far below the full range."""
    array = random.integers(200, 300, (32, 32, 5)).astype(np.uint16)
    array[..., 4] += MASK.astype(np.uint16) * 300
    return array


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, fullconv.Run]:
    root = folder(tmp_path_factory.mktemp("bands") / "data", five_bands)
    return root, fullconv.train(root, root.parent / "run", **SMALL)


def untrained(values: Values | None, channels: int = 5) -> Segmenter:
    built = build_model("fcn16s", 3, "resnet10t", "none", channels, None, {"head_channels": 16})
    preprocessing = dataclasses.replace(Preprocessing.for_channels(channels), values=values)
    return Segmenter(built, ClassSet(("class_0", "class_1", "class_2")), preprocessing)


def test_five_bands_are_trained_scored_and_predicted(trained: tuple[Path, fullconv.Run], tmp_path: Path) -> None:
    root, run = trained
    segmenter = run.segmenter()
    spec = open_dataset(root)
    assert spec.values is not None
    assert segmenter.preprocessing.channels == 5
    assert segmenter.preprocessing.values is not None
    assert segmenter.preprocessing.values.range == spec.values.range
    assert segmenter.preprocessing.values.fill == (114,) * 5  # 255 times the mean of ImageNet's means
    scores = fullconv.evaluate(segmenter, root, workers=0)
    item = spec.splits["val"][0]
    stored = tifffile.imread(item.image.path)
    from_file, from_array = segmenter.predict(item.image.path), segmenter.predict(stored)
    assert np.array_equal(from_file.labels, from_array.labels)
    assert np.array_equal(from_file.image, read_sample(spec, item).image)
    assert np.mean(from_file.labels == MASK) == pytest.approx(scores.pixel_accuracy)
    assert from_file.overlay(legend=False).shape == (32, 32, 3)
    assert command(["predict", str(run.path), str(root / "images"), "--out", str(tmp_path), "--overlay"]) == 0
    assert len(list(tmp_path.glob("?.png"))) == 6


def test_other_images_than_the_model_is_for_are_refused(trained: tuple[Path, fullconv.Run], tmp_path: Path) -> None:
    root, run = trained
    segmenter = run.segmenter()
    with pytest.raises(UsageError, match="holds 8-bit values, where the range"):
        segmenter.predict(np.zeros((32, 32, 5), np.uint8))
    with pytest.raises(UsageError, match="holds 3 bands of uint16, expected 5"):
        segmenter.predict(np.zeros((32, 32, 3), np.uint16))
    with pytest.raises(UsageError, match="of numbers"):
        segmenter.predict(np.zeros((32, 32, 5), np.complex64))
    with pytest.raises(UsageError, match="of numbers"):
        segmenter.predict(np.zeros((0, 32, 5), np.uint16))
    plain = folder(tmp_path / "plain", lambda r: r.integers(0, 256, (32, 32, 5)).astype(np.uint8), suffix=".npy")
    with pytest.raises(DataError, match=r"has 8-bit images, the model was trained on values of .*; give the images"):
        fullconv.evaluate(segmenter, plain, workers=0)
    eight = untrained(None)
    with pytest.raises(DataError, match="the model was trained on 8-bit ones; save the images with 8 bits"):
        fullconv.evaluate(eight, root, workers=0)
    with pytest.raises(UsageError, match="holds uint16 values, where 8-bit images are expected"):
        eight.predict(np.zeros((32, 32, 5), np.uint16))
    with pytest.raises(DataError, match="holds uint16 values, where 8-bit images are expected"):
        eight.predict(root / "images" / "0.tif")


def test_evaluate_uses_the_models_range_and_says_so(
    trained: tuple[Path, fullconv.Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = trained
    other = folder(tmp_path / "data", lambda r: five_bands(r) + np.uint16(500))
    assert command(["evaluate", str(run.path), str(other), "--workers", "0"]) == 0
    assert "values are read by the model's range" in capsys.readouterr().out


def test_nodata_is_neither_scored_nor_seen(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", nodata_and_inf)
    (root / "dataset.yaml").write_text("nodata: -9999\n")
    preprocessing = Preprocessing()
    segmenter = untrained(Values(((0, 0.4),), (-9999,), preprocessing.fill), 3)
    scores = fullconv.evaluate(segmenter, root, workers=0)
    assert sum(scores.pixels) == 32 * 32 - 3 * 32 - 1
    array = nodata_and_inf(np.random.default_rng(0))
    other = array.copy()
    other[:3], other[5, 5] = np.nan, -9999  # nothing, said in another way
    assert np.array_equal(segmenter.predict(array).labels, segmenter.predict(other).labels)
    assert segmenter.predict(array).image[0, 0].tolist() == [round(255 * mean) for mean in (0.485, 0.456, 0.406)]


def test_resumed_with_another_range_is_refused(
    trained: tuple[Path, fullconv.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "has_ended", lambda *given: False)
    root, run = trained
    (root / "dataset.yaml").write_text("range: [0, 1000]\n")
    try:
        with pytest.raises(UsageError, match="range of values"):
            fullconv.train(root, run.path, resume=True, quiet=True)
    finally:
        (root / "dataset.yaml").unlink()


def test_what_a_model_starts_from_and_its_new_range_are_said(
    trained: tuple[Path, fullconv.Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = trained
    other = folder(tmp_path / "data", lambda r: five_bands(r) + np.uint16(500))
    fullconv.train(other, tmp_path / "run", **{**SMALL, "quiet": False, "init_from": str(run.path), "cache": True})
    assert "values: its range was" in capsys.readouterr().out


def test_pictures_of_pillow_and_grey_arrays() -> None:
    segmenter = untrained(Values(((0, 4000),)), 3)
    grey = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 3
    seen = [segmenter.predict(image).image for image in (grey, grey[..., None], Image.fromarray(grey))]
    expected = np.repeat(np.rint(255.0 * grey / 4000)[..., None], 3, axis=2)
    assert all(np.array_equal(image, expected) for image in seen)


@pytest.mark.parametrize(
    "values",
    [
        {"range": [[1]], "nodata": [], "fill": [0]},
        {"range": [[5, 1]], "nodata": [], "fill": [0]},
        {"range": [[0, 1], [0, 1]], "nodata": [], "fill": [0]},
        {"range": "high", "nodata": [], "fill": [0]},
        {"range": [[0, 1]], "nodata": ["x"], "fill": [0]},
        {"range": [[0, 1]], "nodata": [], "fill": [300]},
        [1],
    ],
)
def test_a_damaged_range_in_a_model_file_is_refused(values: object, tmp_path: Path) -> None:
    segmenter = untrained(None)
    header = segmenter.header()
    header["preprocessing"]["values"] = values
    state = {name: value.contiguous() for name, value in segmenter.network.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors", {"fullconv": json.dumps(header)})
    with pytest.raises(ModelFileError):
        Segmenter.load(tmp_path / "model.safetensors")
