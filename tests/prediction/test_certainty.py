"""Confidence and entropy: maps of bytes beside the labels, the same by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import tifffile
from PIL import Image

from fullconv.cli.main import run
from fullconv.crf import CRF
from fullconv.images.certainty import to_bytes
from fullconv.label_map import Prediction
from fullconv.prediction.files import predict
from fullconv.segmenter import Segmenter
from tests.builders import models
from tests.builders.geotiff import PIXELS, geotiff, only_the_labels


def test_they_are_those_of_the_probabilities(model: Segmenter) -> None:
    found = model.predict(PIXELS[:90, :70], probabilities=True, confidence=True, entropy=True)
    assert found.probabilities is not None
    chances = found.probabilities.astype(np.float64)
    np.testing.assert_allclose(found.confidence, chances.max(0), atol=1e-3)
    np.testing.assert_allclose(found.entropy, scipy.stats.entropy(chances) / np.log(len(chances)), atol=2e-3)
    plain = model.predict(PIXELS[:90, :70])
    assert plain.confidence is None
    assert plain.entropy is None
    assert plain.probabilities is None
    assert all(
        f"predict(image, {name}=True)" in " ".join((Prediction.__doc__ or "").replace("\n", " ").split())
        for name in ("probabilities", "confidence", "entropy")
    )
    assert np.array_equal(plain.labels, found.labels)


def test_refined_probabilities_have_theirs(model: Segmenter) -> None:
    found = model.predict(PIXELS[:40, :30], probabilities=True, confidence=True, entropy=True, crf=CRF(iterations=1))
    assert found.probabilities is not None
    chances = found.probabilities.astype(np.float64)
    np.testing.assert_allclose(found.confidence, chances.max(0), atol=1e-3)
    np.testing.assert_allclose(found.entropy, scipy.stats.entropy(chances) / np.log(len(chances)), atol=2e-3)


def test_bytes_keep_one_value_for_nothing() -> None:
    values = np.array([0, 0.001, 0.5, 0.999, 1], np.float32)
    assert to_bytes("confidence", values).tolist() == [1, 1, 128, 255, 255]
    assert to_bytes("entropy", values).tolist() == [0, 0, 128, 254, 254]


def test_the_command_writes_png(tmp_path: Path, model: Segmenter) -> None:
    model.save(tmp_path / "model.safetensors")
    Image.fromarray(PIXELS[:90, :70]).save(tmp_path / "a.png")
    command = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "a.png"), "--out", str(tmp_path / "m")]
    assert run([*command, "--confidence", "--entropy", "--precision", "fp32"]) == 0
    only_the_labels(tmp_path / "m", "a.confidence.png", "a.entropy.png", "a.png")
    found = model.predict(PIXELS[:90, :70], confidence=True, entropy=True)
    for kind in ("confidence", "entropy"):
        with Image.open(tmp_path / "m" / f"a.{kind}.png") as file:
            assert file.mode == "L"
            stored, wanted = np.asarray(file), np.rint(255 * getattr(found, kind))
        assert np.abs(stored - wanted).max() <= 1


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_b0"])
def test_rasters_have_them_by_window(tmp_path: Path, encoder: str, raster_library: str) -> None:
    model = models.make(encoder=encoder)
    pixels = np.maximum(PIXELS, 1)
    pixels[:, 250:] = 0
    path = geotiff(tmp_path / "a.tif", pixels, nodata=0)
    predict(model, path, tmp_path / "m", tile=128, overlap=64, confidence=True, entropy=True)
    only_the_labels(tmp_path / "m", "a.confidence.tif", "a.entropy.tif", "a.tif")
    filled = np.where(pixels == 0, np.array(model.preprocessing.fill, np.uint8), pixels)
    wanted = model.predict(filled, tile=128, overlap=64, confidence=True, entropy=True)
    for kind, nothing in (("confidence", 0), ("entropy", 255)):
        with tifffile.TiffFile(tmp_path / "m" / f"a.{kind}.tif") as file:
            page = file.pages.first
            stored = page.asarray()
            assert page.tags[42113].value == str(nothing)
            assert page.tags[33922].value == (0.0, 0.0, 0.0, 5e5, 5e6, 0.0)
        assert np.array_equal(stored == nothing, (pixels == 0).all(2))
        assert np.array_equal(stored[:, :250], to_bytes(kind, getattr(wanted, kind))[:, :250])


@pytest.mark.parametrize("calls", [3, 8])
def test_a_killed_run_goes_on_with_all_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    from fullconv.images.raster_write import MapWriter

    model, path = models.make(), geotiff(tmp_path / "a.tif")
    asked: dict[str, Any] = {"tile": 128, "overlap": 64, "confidence": True}
    predict(model, path, tmp_path / "whole", **asked)
    append, seen = MapWriter.append, []

    def counted(self: MapWriter, rows: np.ndarray) -> None:
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        append(self, rows)

    monkeypatch.setattr(MapWriter, "append", counted)
    with pytest.raises(KeyboardInterrupt):
        predict(model, path, tmp_path / "m", **asked)
    monkeypatch.setattr(MapWriter, "append", append)
    predict(model, path, tmp_path / "m", **asked)
    only_the_labels(tmp_path / "m", "a.confidence.tif", "a.tif")
    for name in ("a.tif", "a.confidence.tif"):
        assert np.array_equal(tifffile.imread(tmp_path / "m" / name), tifffile.imread(tmp_path / "whole" / name))


def test_the_space_of_all_maps_is_checked_first(tmp_path: Path, model: Segmenter, monkeypatch: Any) -> None:
    import shutil

    from fullconv.errors import FullconvError

    need = PIXELS.shape[0] * PIXELS.shape[1]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": int(2.5 * need)}))
    path = geotiff(tmp_path / "a.tif")
    predict(model, path, tmp_path / "m", confidence=True)
    with pytest.raises(FullconvError, match="needs up to"):
        predict(model, path, tmp_path / "n", confidence=True, entropy=True)
    only_the_labels(tmp_path / "n")
