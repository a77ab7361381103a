"""Rasters labelled by window: the labels of the whole image, whatever is killed, and nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv import gdal
from fullconv.errors import UsageError
from fullconv.images import raster_write
from fullconv.prediction import files, raster
from fullconv.prediction.files import predict
from fullconv.prediction.journal import JOURNAL
from fullconv.segmenter import Segmenter
from fullconv.spec import Values
from tests.builders import models
from tests.builders.geotiff import HEIGHT, KEYS, PIXELS, TRANSFORM, WIDTH, geotiff, only_the_labels


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
    result = predict(
        model, path, out, tile=128, overlap=64, resume=True, done=lambda path, some, every: steps.append(some)
    )
    assert not [note for note in result.notes if "nothing to resume" in note]
    again = 1 if finished and encoder != "resnet18" else 0  # for what two rows of tiles share
    assert len(seen) == (len(down) - finished + again) * len(across)
    assert steps == sorted(steps)
    assert steps[0] > down[finished].keep_start * WIDTH // 2
    assert steps[-1] == HEIGHT * WIDTH
    assert np.array_equal(tifffile.imread(out / "a.tif"), model.predict(PIXELS, tile=128, overlap=64).labels)
    only_the_labels(out, "a.tif", JOURNAL)


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
    monkeypatch.setattr(raster_write.MapWriter, "finish", lambda *args, **kwargs: (_ for _ in ()).throw(KeyError()))
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


def test_a_level_of_a_picture_that_lies_nowhere_lies_nowhere(
    tmp_path: Path, model: Segmenter, raster_library: str
) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        file.write(PIXELS, subifds=1, **options)
        file.write(PIXELS[::2, ::2], subfiletype=1, **options)
    result = predict(model, tmp_path / "a.tif", tmp_path / "out", level=1)
    assert result.notes == []
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert not {33550, 33922, 34264} & {tag.code for tag in file.pages.first.tags}
        assert np.array_equal(file.pages.first.asarray(), model.predict(PIXELS[::2, ::2]).labels)


@pytest.mark.skipif(not gdal.has_gdal(), reason="rasterio is not installed")
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


@pytest.mark.skipif(not gdal.has_gdal(), reason="rasterio is not installed")
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


@pytest.mark.skipif(not gdal.has_gdal(), reason="rasterio is not installed")
def test_overlays_of_large_pictures(tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (raster, files):
        monkeypatch.setattr(room, "LARGE", 100_000)
    picture = tmp_path / "a.png"
    Image.fromarray(PIXELS[..., :3]).save(picture)
    told: list[tuple[Path, int, int]] = []
    out = tmp_path / "out"
    result = predict(model, picture, out, overlay=True, tile=128, overlap=64, done=lambda *at: told.append(at))
    assert result.written == [out / "a.png"]
    assert not any("georeference" in note for note in result.notes)
    assert "with --overlay labels are whole PNG files; without it those of large images are .tif" in result.notes
    by_window = predict(model, picture, tmp_path / "w", tile=128, overlap=64)
    assert by_window.written == [tmp_path / "w" / "a.tif"]
    assert any("their masks are tiled .tif files" in note for note in by_window.notes)
    labels = model.predict(picture, tile=128, overlap=64).labels
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), labels)
    assert np.asarray(Image.open(out / "a.overlay.png")).shape[1] == labels.shape[1]
    covered = [done for _, done, _ in told]
    assert covered == sorted(set(covered))  # tile by tile
    assert told[-1] == (picture, labels.size, labels.size)
    (refused,) = predict(model, picture, tmp_path / "p", probabilities=True).failed
    assert "of which --probabilities would hold all in memory" in refused
    with pytest.raises(UsageError, match="--level is read by window, and --overlay needs all of an image"):
        predict(model, picture, tmp_path / "p", overlay=True, level=1)


def test_small_plain_images_are_png_as_ever(tmp_path: Path, model: Segmenter) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[:50], photometric="rgb")
    assert predict(model, tmp_path / "a.tif", tmp_path / "out").written == [tmp_path / "out" / "a.png"]
    geotiff(tmp_path / "g.tif", PIXELS[:50])
    result = predict(model, tmp_path / "g.tif", tmp_path / "whole", overlay=True)
    assert result.written == [tmp_path / "whole" / "g.png"]
    assert result.notes == [
        "with --overlay labels are PNG files, without georeference; where an image holds nothing they are a guess"
    ]
