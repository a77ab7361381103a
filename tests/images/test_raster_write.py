"""Label maps written in bands: the file, and what a kill leaves."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fullconv import gdal
from fullconv.errors import FullconvError, UsageError
from fullconv.images import raster_write
from fullconv.images.raster_place import Georeference, GeoTag
from fullconv.images.raster_write import Look, MapWriter
from fullconv.images.write import VOID_COLOUR
from fullconv.spec import ClassSet

CLASSES = ClassSet(("sky", "road", "tree"), ((1, 2, 3), (250, 128, 0), (0, 9, 77)))
NORTH_UP = Georeference(
    (
        GeoTag(33550, 12, 3, (0.5, 0.5, 0.0)),
        GeoTag(33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0)),
        GeoTag(34735, 3, 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)),
    ),
    placed=True,
    projected=True,
)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster_write, "TILE", 16)
    monkeypatch.setattr(raster_write, "SMALLEST", 10)


def labels(height: int, width: int) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 4, (height, width), dtype=np.uint8)
    return np.where(values == 3, 255, values).astype(np.uint8)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 60), st.integers(1, 60), st.lists(st.integers(1, 40)), st.booleans())
def test_bands_of_any_height_left_and_taken_up(
    tmp_path: Path, height: int, width: int, bands: list[int], left: bool
) -> None:
    path, wanted = tmp_path / "a.tif", labels(height, width)
    path.unlink(missing_ok=True)
    writer = MapWriter(path, (height, width), Look.of(CLASSES), {"model": "x"})
    assert writer.rows == 0
    for band in [*bands, height]:
        writer.append(wanted[writer.rows : writer.rows + band])
        if writer.rows == height:
            break
        if left:
            rows = writer.rows
            writer.close()
            writer = MapWriter(path, (height, width), Look.of(CLASSES), {"model": "x"})
            assert writer.rows == rows
    assert not path.exists()
    writer.finish(Georeference())
    assert np.array_equal(tifffile.imread(path), wanted)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_what_other_programs_see(tmp_path: Path) -> None:
    path, wanted = tmp_path / "a.tif", labels(50, 70)
    writer = MapWriter(path, (50, 70), Look.of(CLASSES), {})
    writer.append(wanted)
    writer.finish(NORTH_UP, overviews=True)
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), wanted)
        colours = np.array(image.getpalette()).reshape(-1, 3)
    assert colours[:3].tolist() == [list(colour) for colour in CLASSES.palette]
    assert (colours[3:] == VOID_COLOUR).all()
    with tifffile.TiffFile(path) as file:
        sizes = [page.shape for page in file.pages]
        assert sizes == [(50, 70), (25, 35), (13, 18), (7, 9)]
        assert np.array_equal(file.pages[2].asarray(), wanted[::4, ::4])
        assert file.pages.first.is_tiled
    if not gdal.has_gdal():
        pytest.skip("rasterio is not installed")
    import rasterio

    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32633
        assert tuple(file.transform)[:6] == (0.5, 0, 5e5, 0, -0.5, 5e6)
        assert file.nodata == 255
        assert file.overviews(1) == [2, 4, 8]
        assert file.colormap(1)[1] == (250, 128, 0, 255)
        assert np.array_equal(file.read(1), wanted)


def test_more_classes_than_a_byte_holds(tmp_path: Path) -> None:
    classes = ClassSet(tuple(f"c{index}" for index in range(300)))
    wanted = np.random.default_rng(0).integers(0, 300, (40, 20), dtype=np.int32)
    writer = MapWriter(tmp_path / "a.tif", (40, 20), Look.of(classes), {})
    writer.append(wanted)
    writer.finish(Georeference())
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), wanted)


def test_another_job_begins_again(tmp_path: Path) -> None:
    path, wanted = tmp_path / "a.tif", labels(50, 70)
    writer = MapWriter(path, (50, 70), Look.of(CLASSES), {"model": "x"})
    writer.append(wanted[:20])
    with pytest.raises(UsageError, match=r"a.tif: another process writes it"):
        MapWriter(path, (50, 70), Look.of(CLASSES), {"model": "x"})
    writer.close()
    for size, job in (((50, 70), {"model": "y"}), ((51, 70), {"model": "y"})):
        writer = MapWriter(path, size, Look.of(CLASSES), job)
        assert writer.rows == 0
        writer.append(wanted[:10])
        writer.close()


def test_a_line_half_written_and_bytes_that_are_missing_cost_a_band(tmp_path: Path) -> None:
    path, wanted = tmp_path / "a.tif", labels(60, 30)
    writer = MapWriter(path, (60, 30), Look.of(CLASSES), {})
    for top in (0, 20, 40):
        writer.append(wanted[top : top + 17 + 3])
    writer.close()
    journal, part = tmp_path / ".a.tif.journal", tmp_path / ".a.tif.part"
    journal.write_text(journal.read_text()[:-5])
    writer = MapWriter(path, (60, 30), Look.of(CLASSES), {})
    assert writer.rows == 40
    writer.close()
    part.write_bytes(part.read_bytes()[:-1])
    writer = MapWriter(path, (60, 30), Look.of(CLASSES), {})
    assert writer.rows == 20
    writer.append(wanted[20:])
    writer.finish(Georeference())
    assert np.array_equal(tifffile.imread(path), wanted)


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from fullconv import gdal
from fullconv.images import raster_write
from fullconv.spec import ClassSet
raster_write.TILE = 16
wanted = np.load(sys.argv[2])
look = raster_write.Look.of(ClassSet(("sky", "road", "tree")))
writer = raster_write.MapWriter(Path(sys.argv[1]), wanted.shape, look, {})
writer.append(wanted[:33])
writer._data.write(b"the beginning of more")
writer._data.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_it_finished(tmp_path: Path) -> None:
    path, wanted = tmp_path / "out" / "a.tif", labels(60, 30)
    np.save(tmp_path / "wanted.npy", wanted)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(tmp_path / "wanted.npy")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    writer = MapWriter(path, (60, 30), Look.of(ClassSet(("sky", "road", "tree"))), {})
    assert writer.rows == 33
    writer.append(wanted[33:])
    writer.finish(Georeference())
    assert np.array_equal(tifffile.imread(path), wanted)
    assert os.listdir(path.parent) == ["a.tif"]


def test_space_is_checked_first_and_a_full_disk_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2_000_000))
    with pytest.raises(FullconvError, match=r"needs up to 0.04 GB on the disk, 0.00 GB are free; free some space"):
        MapWriter(tmp_path / "a.tif", (6000, 6000), Look.of(CLASSES), {})
    assert list(tmp_path.glob("*.tif")) == list(tmp_path.glob(".*.part")) == []
    writer = MapWriter(tmp_path / "a.tif", (60, 30), Look.of(CLASSES), {})

    def full(content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "_store", full)
    with pytest.raises(FullconvError, match="the disk is full; free some space and run again, it goes on where it was"):
        writer.append(labels(60, 30))
    writer.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(FullconvError, match="cannot be written"):
        MapWriter(tmp_path / "file" / "a.tif", (60, 30), Look.of(CLASSES), {})
