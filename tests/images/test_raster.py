"""Rasters read by window are what the whole image is, whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv import gdal
from fullconv.errors import DataError, UsageError
from fullconv.images import raster_open
from fullconv.images.pixels import read_pixels
from fullconv.images.raster import RasterReader, refuse_other_bands, window_pixels
from fullconv.images.raster_open import open_raster
from fullconv.images.raster_rows import HeldRows, Turned
from fullconv.images.raster_tiff import TiffReader
from fullconv.spec import Values

HEIGHT, WIDTH = 150, 203
BYTES = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
WINDOWS = [(0, 40, 0, WIDTH), (20, 90, 33, 77), (60, HEIGHT, 100, WIDTH), (0, HEIGHT, 0, WIDTH)]

needs_gdal = pytest.mark.skipif(not gdal.has_gdal(), reason="rasterio is not installed")


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test opens."""
    readers: list[RasterReader] = []

    def opening(path: Path, level: int = 0) -> RasterReader | None:
        reader = raster_open.open_raster(path, level)
        readers.extend([reader] if reader is not None else [])
        return reader

    monkeypatch.setitem(globals(), "open_raster", opening)
    yield
    for reader in readers:
        reader.close()


def assert_windows_are_the_image(path: Path, channels: int, values: Values) -> None:
    whole = read_pixels(path, channels, values=values)
    reader = open_raster(path)
    assert reader is not None
    assert reader.info.size == whole.image.shape[:2]
    refuse_other_bands(reader.info, channels, values)
    for top, bottom, left, right in WINDOWS:
        bottom, right = min(bottom, reader.info.size[0]), min(right, reader.info.size[1])
        part = window_pixels(reader, slice(top, bottom), slice(left, right), channels, values)
        assert np.array_equal(part.image, whole.image[top:bottom, left:right])
        blank = np.zeros(whole.image.shape[:2], bool) if whole.blank is None else whole.blank
        found = np.zeros(part.image.shape[:2], bool) if part.blank is None else part.blank
        assert np.array_equal(found, blank[top:bottom, left:right])


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"tile": (64, 32)},
        {"rowsperstrip": 7, "compression": "zlib"},
        {"tile": (32, 64), "compression": "zlib", "predictor": True},
        {"tile": (64, 64), "planarconfig": "separate", "compression": "zlib"},
        {"rowsperstrip": 16, "planarconfig": "separate"},
        {"compression": "zlib", "byteorder": ">"},
        {"bigtiff": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["rgb", "grey", "uint16", "float32"])
def test_tiff_of_every_layout(tmp_path: Path, raster_library: str, layout: dict[str, object], kind: str) -> None:
    samples = {"rgb": BYTES[..., :3], "grey": BYTES[..., 0]}.get(kind)
    if samples is None:
        samples = (BYTES.astype(kind) * 11 - (0 if kind == "uint16" else 100.5)).astype(kind)
        samples[10:30, 20:50] = np.nan if kind == "float32" else 0
    if samples.ndim == 2 and "planarconfig" in layout:
        pytest.skip("one band has no planes")
    if samples.ndim == 3 and layout.get("planarconfig") == "separate":
        samples = np.moveaxis(samples, 2, 0)
    layout = {"planarconfig": "contig", **layout} if samples.ndim == 3 else dict(layout)
    opening = {name: layout.pop(name) for name in ("byteorder", "bigtiff") if name in layout}
    extra = [(42113, "s", 0, "0", True)] if kind == "uint16" else []
    with tifffile.TiffWriter(tmp_path / "a.tif", **opening) as file:
        photometric = "rgb" if kind == "rgb" else "minisblack"
        file.write(samples, photometric=photometric, extratags=extra, metadata=None, **layout)
    ranged = Values(((0, 2805),), fill=(7,)) if kind in ("uint16", "float32") else Values(fill=(7,))
    assert_windows_are_the_image(tmp_path / "a.tif", 4 if samples.ndim == 3 and kind not in ("rgb",) else 3, ranged)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures_of_every_mode(tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix != ".tif" and not gdal.has_gdal():
        pytest.skip("rasterio is not installed")
    rgba = BYTES.copy()
    rgba[..., 3] = 255
    path = tmp_path / f"a{suffix}"
    Image.fromarray(rgba).convert(mode).save(path)
    for channels in (1, 3, 4):
        assert_windows_are_the_image(path, channels, Values())


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_turned_as_whole_images_are(tmp_path: Path, orientation: int, suffix: str) -> None:
    if suffix == ".jpg" and not gdal.has_gdal():
        pytest.skip("rasterio is not installed")
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if suffix == ".jpg":  # grey: GDAL interpolates the colours of a JPEG in its own way
        Image.fromarray(BYTES[..., 0]).save(path, exif=exif)
    else:
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, BYTES[..., :3], photometric="rgb", tile=(64, 64), extratags=[tag], metadata=None)
    assert_windows_are_the_image(path, 3, Values())
    assert isinstance(open_raster(path), Turned)


def test_rows_are_decoded_once(tmp_path: Path, raster_library: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES[..., :3], photometric="rgb", rowsperstrip=4, compression="zlib", metadata=None)
    reader = open_raster(path)
    assert isinstance(reader, HeldRows)
    read: list[int] = []
    inner = reader._reader.read
    reader._reader.read = lambda rows, columns: (read.append(rows.stop - rows.start), inner(rows, columns))[1]
    for top in range(0, HEIGHT - 50, 20):
        for left in (0, 90):
            block = reader.read(slice(top, top + 50), slice(left, left + 90))
            assert np.array_equal(block.array, BYTES[top : top + 50, left : left + 90, :3])
    assert sum(read) == 130  # of the rows 0 to 130
    assert np.array_equal(reader.read(slice(5, 9), slice(0, 9)).array, BYTES[5:9, :9, :3])  # back to the top


def test_alpha_of_0_holds_nothing(tmp_path: Path, raster_library: str) -> None:
    alpha = BYTES.copy()
    alpha[..., 3] = 255
    alpha[40:60, 30:80, 3] = 0
    tifffile.imwrite(tmp_path / "a.tif", alpha, photometric="rgb", extrasamples=["unassalpha"], tile=(64, 64))
    reader = open_raster(tmp_path / "a.tif")
    assert reader is not None
    part = window_pixels(reader, slice(0, 100), slice(0, 100), 3, Values(fill=(5,)))
    assert part.blank is not None
    assert np.array_equal(part.blank, alpha[:100, :100, 3] == 0)
    assert (part.image[part.blank] == 5).all()
    assert np.array_equal(part.image[~part.blank], alpha[:100, :100, :3][~part.blank])


def pyramid(path: Path, *, ome: bool) -> list[np.ndarray]:
    levels = [BYTES[..., :3], BYTES[::2, ::2, :3], BYTES[::4, ::4, :3]]
    with tifffile.TiffWriter(path, ome=ome) as file:
        for number, level in enumerate(levels):
            sub: dict[str, object] = {"subifds": 2 if ome and not number else None}
            file.write(
                level, photometric="rgb", tile=(32, 32), compression="zlib", subfiletype=1 if number else 0,
                metadata={"axes": "YXS"} if ome and not number else None, **sub,
            )  # fmt: skip
    return levels


@pytest.mark.parametrize("ome", [False, True])
def test_levels_of_a_pyramid(tmp_path: Path, raster_library: str, ome: bool) -> None:
    levels = pyramid(tmp_path / "a.tif", ome=ome)
    for number, level in enumerate(levels):
        reader = open_raster(tmp_path / "a.tif", number)
        assert reader is not None
        assert reader.info.levels == tuple(one.shape[:2] for one in levels)
        assert np.array_equal(reader.read(slice(0, level.shape[0]), slice(0, level.shape[1])).array, level)
        reader.close()
    for number in (3, -1):
        with pytest.raises(UsageError, match=r"has 3 levels \(0 is 203x150, 1 is 102x75, 2 is 51x38\), found --level"):
            open_raster(tmp_path / "a.tif", number)


def test_channels_of_ome_are_bands(tmp_path: Path) -> None:
    channels = np.moveaxis(BYTES, 2, 0).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", channels, metadata={"axes": "CYX"}, tile=(64, 64), compression="zlib")
    reader = open_raster(tmp_path / "a.ome.tif")
    assert isinstance(reader, TiffReader)
    assert np.array_equal(reader.read(slice(5, 99), slice(50, 203)).array, BYTES[5:99, 50:203])
    tifffile.imwrite(tmp_path / "t.ome.tif", channels, metadata={"axes": "TYX"})
    with pytest.raises(DataError, match=r"a stack with the axes TYX \(4, 150, 203\); expected one picture"):
        open_raster(tmp_path / "t.ome.tif")


def test_bands_that_do_not_fit_a_model_are_refused_unread(tmp_path: Path, raster_library: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", BYTES.astype(np.uint16), photometric="minisblack", planarconfig="contig", metadata=None
    )
    reader = open_raster(tmp_path / "a.tif")
    assert reader is not None
    with pytest.raises(DataError, match="holds 4 bands of uint16, the model takes 3; give the bands"):
        refuse_other_bands(reader.info, 3, Values(((0, 255),)))
    with pytest.raises(DataError, match="holds uint16 values, where 8-bit images are expected"):
        refuse_other_bands(reader.info, 4, Values())


@needs_gdal
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("red", "green", "nir"), ""),
        ((None, None, None), ""),
        (("B1", "B2", "B3"), ""),
        (
            ("nir", "red", "green"),
            "calls its bands nir, red, green, the model takes red, green, nir; give it these, in",
        ),
        (("red", "green", "swir"), "calls its bands red, green, swir and has no nir, the model takes red, green, nir"),
    ],
)
def test_bands_by_name(tmp_path: Path, names: tuple[str | None, ...], words: str) -> None:
    import rasterio

    shape = {"width": 9, "height": 9, "count": 3, "dtype": "uint16", "transform": rasterio.Affine(2, 0, 5, 0, -2, 7)}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **shape) as file:
        file.write(np.ones((3, 9, 9), np.uint16))
        file.descriptions = names
    reader = open_raster(tmp_path / "a.tif")
    assert reader is not None
    values = Values(((0, 9),), bands=("red", "green", "nir"))
    with pytest.raises(DataError, match=words) if words else nullcontext():
        refuse_other_bands(reader.info, 3, values)


def test_truncated_files_are_named_with_the_rows(tmp_path: Path, raster_library: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES[..., :3], photometric="rgb", tile=(16, 16), compression="zlib", metadata=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    reader = open_raster(path)
    assert reader is not None
    reader.read(slice(0, 16), slice(0, 16))
    said = "truncated, it ends too early" if raster_library == "tifffile" else r"damaged \(.* IReadBlock failed .*\)"
    with pytest.raises(DataError, match=rf"a\.tif, rows 120 to 150: {said}; copy"):
        reader.read(slice(120, 150), slice(0, WIDTH))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.tif: damaged \(corrupted IFD structure\); copy"):
        open_raster(path)


def test_files_that_need_rasterio_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster_open, "has_gdal", lambda: False)
    (tmp_path / "a.vrt").write_text("<VRTDataset/>")
    with pytest.raises(DataError, match=r"pip install 'fullconv\[raster\]'"):
        open_raster(tmp_path / "a.vrt")
