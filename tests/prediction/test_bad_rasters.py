"""Rasters that cannot be labelled: one line, the exit code, and nothing left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fullconv import gdal
from fullconv.cli.main import run
from fullconv.prediction.files import predict
from fullconv.segmenter import Segmenter
from tests.builders import models
from tests.builders.geotiff import KEYS, PIXELS, TRANSFORM, geotiff, only_the_labels


def command(model: Segmenter, tmp_path: Path, *words: str) -> int:
    model.save(tmp_path / "m.safetensors")
    return run(["predict", str(tmp_path / "m.safetensors"), *words, "--out", str(tmp_path / "out")])


def test_a_projection_that_is_missing_is_said(
    tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str], raster_library: str
) -> None:
    path = geotiff(tmp_path / "a.tif", projected=False)
    assert command(model, tmp_path, str(path), "--tile", "128", "--exact") == 0
    said = capsys.readouterr().out
    assert "1 mask in" in said
    assert f"{path}: states no projection (CRS); its labels lie where it does, without one" in said


def truncated(path: Path) -> str:
    geotiff(path).write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return "; copy or save it again"


def other_bands(path: Path) -> str:
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    tifffile.imwrite(path, models.picture(90, 90, 5), extratags=[*TRANSFORM, KEYS], **options)
    return "holds 5 bands of uint8, the model takes 3; give the bands that it was trained on"


def other_values(path: Path) -> str:
    geotiff(path, PIXELS.astype(np.uint16))
    return "holds uint16 values, where 8-bit images are expected"


def nodata_everywhere(path: Path) -> str:
    geotiff(path, np.full_like(PIXELS, 9), nodata=9)
    return "every pixel is nodata 9, so there are no labels; check that value"


@pytest.mark.parametrize("spoil", [truncated, other_bands, other_values, nodata_everywhere])
def test_bad_rasters_are_one_line_and_leave_nothing(
    tmp_path: Path,
    model: Segmenter,
    capsys: pytest.CaptureFixture[str],
    raster_library: str,
    spoil: Callable[[Path], str],
) -> None:
    expected = spoil(tmp_path / "a.tif")
    assert command(model, tmp_path, str(tmp_path / "a.tif"), "--tile", "128") == 3
    lines = capsys.readouterr().err.splitlines()
    assert expected in lines[0]
    assert str(tmp_path / "a.tif") in lines[0]
    assert lines[1:] == ["fullconv: 1 of 1 images have no mask"]
    only_the_labels(tmp_path / "out")


@pytest.mark.skipif(not gdal.has_gdal(), reason="rasterio is not installed")
def test_a_band_that_is_missing(tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str]) -> None:
    import rasterio.shutil

    rasterio.shutil.copy(geotiff(tmp_path / "b.tif"), tmp_path / "a.vrt", driver="VRT")
    (tmp_path / "b.tif").unlink()
    assert command(model, tmp_path, str(tmp_path / "a.vrt")) == 3
    assert "a.vrt: damaged (" in capsys.readouterr().err
    only_the_labels(tmp_path / "out")


def test_no_space_for_the_labels_and_no_such_level(
    tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = geotiff(tmp_path / "a.tif")
    assert command(model, tmp_path, str(path), "--level", "3") == 2
    assert "has 1 levels (0 is 300x420), found --level 3" in capsys.readouterr().err
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert command(model, tmp_path, str(path)) == 1
    assert "on the disk, 0.00 GB are free; free some space, or choose another --out" in capsys.readouterr().err
    only_the_labels(tmp_path / "out")


def test_scores_that_are_not_finite_leave_nothing(tmp_path: Path) -> None:
    model = models.make()
    for value in model.network.state_dict().values():
        value.fill_(3)
    path = geotiff(tmp_path / "a.tif")
    result = predict(model, path, tmp_path / "out", tile=128, overlap=64)
    assert "a.tif, rows 0 to 64" in result.failed[0]
    assert "are not finite (nan or inf), so no labels" in result.failed[0]
    only_the_labels(tmp_path / "out")


def test_labels_never_overwrite_the_raster(
    tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    before = geotiff(tmp_path / "out" / "a.tif").read_bytes()
    assert command(model, tmp_path, str(tmp_path / "out" / "a.tif")) == 2
    assert "would overwrite the image" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.tif").read_bytes() == before
