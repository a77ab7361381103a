"""Rasters labelled by window: the labels of the whole image, whatever is killed, and nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv.cli.main import run
from fullconv.images import raster_gdal, raster_write
from fullconv.prediction import raster
from fullconv.prediction.files import predict
from fullconv.segmenter import Segmenter
from fullconv.spec import Values
from tests.builders import models

HEIGHT, WIDTH = 420, 300
PIXELS = models.picture(HEIGHT, WIDTH)
TRANSFORM = (33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True)
KEYS = (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True)


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return models.make()


def geotiff(path: Path, pixels: np.ndarray = PIXELS, *, nodata: int | None = None, projected: bool = True) -> Path:
    tags: list[Any] = [*TRANSFORM, *([KEYS] if projected else [])]
    tags += [(42113, "s", 0, str(nodata), True)] if nodata is not None else []
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), compression="zlib", extratags=tags, metadata=None)
    return path


def only_the_labels(folder: Path, *names: str) -> None:
    assert sorted(os.listdir(folder) if folder.exists() else []) == sorted(names)


def test_labels_are_those_of_the_whole_image_and_keep_where_it_lies(
    tmp_path: Path, model: Segmenter, raster_library: str
) -> None:
    result = predict(model, geotiff(tmp_path / "a.tif"), tmp_path / "out", tile=128, overlap=64, overviews=True)
    assert result.written == [tmp_path / "out" / "a.tif"]
    only_the_labels(tmp_path / "out", "a.tif")
    wanted = model.predict(PIXELS, tile=128, overlap=64).labels
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        page = file.pages.first
        assert np.array_equal(page.asarray(), wanted)
        assert page.is_tiled
        assert page.tags[33550].value == (0.5, 0.5, 0.0)
        assert page.tags[33922].value == (0.0, 0.0, 0.0, 5e5, 5e6, 0.0)
        assert 32633 in page.tags[34735].value
        assert page.tags[42113].value == "255"
        assert (np.array(page.colormap).T[:3] // 257).tolist() == [list(colour) for colour in models.CLASSES.palette]
        assert file.pages[1].shape == (210, 150)
    assert len(np.unique(wanted)) > 1


def test_where_a_raster_holds_nothing_so_do_the_labels(tmp_path: Path, model: Segmenter, raster_library: str) -> None:
    pixels = np.maximum(PIXELS, 1)
    pixels[:, 200:] = 0
    pixels[300:, :50] = 0
    pixels[10, 10, 0] = 0  # one band alone
    predict(model, geotiff(tmp_path / "a.tif", pixels, nodata=0), tmp_path / "out", tile=128, overlap=64)
    labels = tifffile.imread(tmp_path / "out" / "a.tif")
    assert np.array_equal(labels == 255, (pixels == 0).all(2))
    filled = np.where(pixels == 0, np.array(model.preprocessing.fill, np.uint8), pixels)
    wanted = model.predict(filled, tile=128, overlap=64).labels
    assert np.array_equal(labels[labels < 255], wanted[labels < 255])


def test_networks_that_see_all_of_an_image_give_blended_labels(tmp_path: Path) -> None:
    model = models.make(name="fcn8s", encoder="efficientnet_b0")
    result = predict(model, geotiff(tmp_path / "a.tif"), tmp_path / "out", tile=128, overlap=64, exact=True)
    assert "sees all of an image. Its scores are blended there" in result.notes[0]
    wanted = model.predict(PIXELS, tile=128, overlap=64).labels
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "a.tif"), wanted)


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_b0"])
@pytest.mark.parametrize("calls", [1, 8, 11])
def test_finished_rows_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, calls: int
) -> None:
    model = models.make(encoder=encoder)
    path, out = geotiff(tmp_path / "a.tif"), tmp_path / "out"
    seen: list[int] = []
    compute = model.runner.coarse_logits

    def counted(pixels: Any, most: int = 99) -> Any:
        seen.append(1)
        if len(seen) > most:
            raise KeyboardInterrupt
        return compute(pixels)

    monkeypatch.setattr(model.runner, "coarse_logits", lambda pixels: counted(pixels, calls))
    with pytest.raises(KeyboardInterrupt):
        predict(model, path, out, tile=128, overlap=64)
    only_the_labels(out, ".a.tif.journal", ".a.tif.part")
    down, across = model.tiling((HEIGHT, WIDTH), 128, 64).axes((HEIGHT, WIDTH))
    finished = calls // len(across)
    seen.clear()
    monkeypatch.setattr(model.runner, "coarse_logits", counted)
    steps: list[int] = []
    predict(model, path, out, tile=128, overlap=64, done=lambda path, some, every: steps.append(some))
    again = 1 if finished and encoder != "resnet18" else 0  # for what two rows of tiles share
    assert len(seen) == (len(down) - finished + again) * len(across)
    assert steps == sorted(steps)
    assert steps[0] > down[finished].keep_start * WIDTH // 2
    assert steps[-1] == HEIGHT * WIDTH
    assert np.array_equal(tifffile.imread(out / "a.tif"), model.predict(PIXELS, tile=128, overlap=64).labels)
    only_the_labels(out, "a.tif")


KILLED = """
import os, signal, sys
from fullconv.prediction.files import predict
from tests.builders import models
model, count = models.make(), []
compute = model.runner.coarse_logits
def counted(pixels):
    count.append(1)
    if len(count) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(pixels)
model.runner.coarse_logits = counted
predict(model, sys.argv[1], sys.argv[2], tile=128, overlap=64)
"""


def test_kill_9_and_the_same_command_again(tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = geotiff(tmp_path / "a.tif"), tmp_path / "out"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(out)], check=False, cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert not (out / "a.tif").exists()
    steps: list[int] = []
    predict(model, path, out, tile=128, overlap=64, done=lambda path, some, every: steps.append(some))
    assert steps[0] > 64 * WIDTH
    assert np.array_equal(tifffile.imread(out / "a.tif"), model.predict(PIXELS, tile=128, overlap=64).labels)
    only_the_labels(out, "a.tif")


def test_another_model_or_tile_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path, out = models.make(), geotiff(tmp_path / "a.tif", PIXELS[:150, :150]), tmp_path / "out"
    monkeypatch.setattr(raster_write.LabelWriter, "finish", lambda *args, **kwargs: (_ for _ in ()).throw(KeyError()))
    steps: list[int] = []

    def run_on(tile: int) -> int:
        steps.clear()
        with pytest.raises(KeyError):
            predict(model, path, out, tile=tile, done=lambda *numbers: steps.append(numbers[1]))
        return steps[0] if steps else 150 * 150

    assert run_on(128) < 128 * 128
    assert run_on(128) == 150 * 150
    assert run_on(96) < 128 * 128
    next(iter(model.network.state_dict().values())).mul_(1.5)
    assert run_on(96) < 128 * 128
    os.utime(path, (1, 1))
    assert run_on(96) < 128 * 128


def test_bands_and_values_of_a_model_of_16_bits(tmp_path: Path, raster_library: str) -> None:
    model = models.make(channels=5)
    model.preprocessing = replace(model.preprocessing, values=Values(((0, 10200),), (0,), (7,)))
    pixels = models.picture(200, 150, 5).astype(np.uint16) * 40
    pixels[50:90] = 0
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig", "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[*TRANSFORM, KEYS], metadata=None, **options)
    predict(model, tmp_path / "a.tif", tmp_path / "out", tile=96)
    labels = tifffile.imread(tmp_path / "out" / "a.tif")
    assert (labels[50:90] == 255).all()
    wanted = model.predict(tmp_path / "a.tif", tile=96).labels
    kept = (pixels != 0).any(2)
    assert np.array_equal(labels[kept], wanted[kept])


def test_levels_of_a_pyramid_keep_their_place(tmp_path: Path, model: Segmenter, raster_library: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        file.write(PIXELS, extratags=[*TRANSFORM, KEYS], **options)
        file.write(PIXELS[::2, ::2], subfiletype=1, **options)
    predict(model, tmp_path / "a.tif", tmp_path / "out", level=1)
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert np.array_equal(file.pages.first.asarray(), model.predict(PIXELS[::2, ::2]).labels)
        assert file.pages.first.tags[33550].value[:2] == (1.0, 1.0)
        assert file.pages.first.tags[33922].value[3:5] == (5e5, 5e6)


@pytest.mark.skipif(not raster_gdal.has_gdal(), reason="rasterio is not installed")
@pytest.mark.parametrize("suffix", ["jp2", "vrt"])
def test_other_formats_by_gdal(tmp_path: Path, model: Segmenter, suffix: str) -> None:
    import rasterio.shutil

    path = tmp_path / f"a.{suffix}"
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if suffix == "jp2" else {}
    driver = "JP2OpenJPEG" if suffix == "jp2" else "VRT"
    rasterio.shutil.copy(geotiff(tmp_path / "b.tif"), path, driver=driver, **options)
    (tmp_path / "b.tif").rename(tmp_path / "moved" if suffix == "jp2" else tmp_path / "b.tif")
    given = tmp_path if suffix == "jp2" else path  # a folder of such files too
    predict(model, given, tmp_path / "out", tile=128, overlap=64)
    with rasterio.open(tmp_path / "out" / "a.tif") as file:
        assert file.crs.to_epsg() == 32633
        assert tuple(file.transform)[:6] == (0.5, 0, 5e5, 0, -0.5, 5e6)
        assert file.nodata == 255
        assert np.array_equal(file.read(1), model.predict(PIXELS, tile=128, overlap=64).labels)


@pytest.mark.skipif(not raster_gdal.has_gdal(), reason="rasterio is not installed")
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_large_pictures_go_row_by_row(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(raster, "LARGE", 100_000)
    grey = np.repeat(PIXELS[..., :1], 3, axis=2)  # GDAL interpolates the colours of a JPEG in its own way
    Image.fromarray(grey[..., 0]).save(tmp_path / f"a.{suffix}", quality=100)
    result = predict(model, tmp_path / f"a.{suffix}", tmp_path / "out", tile=128, overlap=64)
    assert result.written == [tmp_path / "out" / "a.tif"]
    assert result.notes == [note for note in result.notes if "CRS" not in note]
    wanted = model.predict(tmp_path / f"a.{suffix}", tile=128, overlap=64).labels
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "a.tif"), wanted)


def test_small_plain_images_are_png_as_ever(tmp_path: Path, model: Segmenter) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[:50], photometric="rgb")
    assert predict(model, tmp_path / "a.tif", tmp_path / "out").written == [tmp_path / "out" / "a.png"]
    geotiff(tmp_path / "g.tif", PIXELS[:50])
    result = predict(model, tmp_path / "g.tif", tmp_path / "whole", overlay=True)
    assert result.written == [tmp_path / "whole" / "g.png"]
    assert result.notes == [
        "with --overlay labels are PNG files, without georeference; where an image holds nothing they are a guess"
    ]


def command(model: Segmenter, tmp_path: Path, *words: str) -> int:
    model.save(tmp_path / "m.safetensors")
    return run(["predict", str(tmp_path / "m.safetensors"), *words, "--out", str(tmp_path / "out")])


def test_a_projection_that_is_missing_is_said(
    tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str], raster_library: str
) -> None:
    path = geotiff(tmp_path / "a.tif", projected=False)
    assert command(model, tmp_path, str(path), "--tile", "128", "--exact") == 0
    said = capsys.readouterr().out
    assert "1 masks in" in said
    assert f"{path}: states no projection (CRS); its labels lie where it does, without one" in said


def truncated(path: Path) -> str:
    geotiff(path).write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return "damaged or truncated"


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
    assert command(model, tmp_path, str(tmp_path / "a.tif"), "--tile", "128") != 0
    lines = capsys.readouterr().err.splitlines()
    assert expected in lines[0]
    assert str(tmp_path / "a.tif") in lines[0]
    assert lines[1:] == ["fullconv: 1 of 1 images have no mask"]
    only_the_labels(tmp_path / "out")


@pytest.mark.skipif(not raster_gdal.has_gdal(), reason="rasterio is not installed")
def test_a_band_that_is_missing(tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str]) -> None:
    import rasterio.shutil

    rasterio.shutil.copy(geotiff(tmp_path / "b.tif"), tmp_path / "a.vrt", driver="VRT")
    (tmp_path / "b.tif").unlink()
    assert command(model, tmp_path, str(tmp_path / "a.vrt")) != 0
    assert "a.vrt: damaged or truncated (" in capsys.readouterr().err
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
