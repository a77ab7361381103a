"""Images of other than 8 bits: read as they are stored, and brought to bytes by a stated range."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from fullconv.errors import DataError, UsageError
from fullconv.images.files import image_size
from fullconv.images.pixels import read_image, read_pixels
from fullconv.images.stored import Kind, kind_of, read_wide
from fullconv.spec import Preprocessing, Values
from tests.builders.images import YCBCR

RANDOM = np.random.default_rng(0)
FIVE = RANDOM.integers(0, 4000, (40, 50, 5)).astype(np.uint16)
WIDE = Values(((0, 4000),))


def write_png16(path: Path, array: np.ndarray, kind: int) -> None:
    """A 16-bit PNG of colour type ``kind``, every row filtered by another of PNG's filters None, Sub, Up."""
    rows, width, channels = array.shape
    samples = np.frombuffer(array.astype(">u2").tobytes(), np.uint8).reshape(rows, -1).astype(int)
    step, data = 2 * channels, b""
    for row in range(rows):
        method = row % 3
        before = np.zeros_like(samples[row])
        if method == 1:
            before[step:] = samples[row][:-step]
        elif method == 2:
            before = samples[row - 1]
        data += bytes([method]) + ((samples[row] - before) % 256).astype(np.uint8).tobytes()

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, rows, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("kind", "channels", "alpha"), [(0, 1, ()), (2, 3, ()), (4, 2, (1,)), (6, 4, (3,))])
def test_16_bit_png_keeps_all_its_bits(kind: int, channels: int, alpha: tuple[int, ...], tmp_path: Path) -> None:
    array = RANDOM.integers(0, 65536, (7, 9, channels)).astype(np.uint16)
    write_png16(tmp_path / "a.png", array, kind)
    stored = read_wide(tmp_path / "a.png", channels)
    assert np.array_equal(stored.array, array)
    assert stored.alpha == alpha
    assert kind_of(tmp_path / "a.png") == Kind("uint16", channels - len(alpha), bool(alpha))


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "contig"},
        {"planarconfig": "separate"},
        {"tile": (16, 32), "planarconfig": "contig", "compression": "zlib"},
        {"tile": (16, 32), "planarconfig": "separate"},
        {"compression": "zlib", "predictor": True, "planarconfig": "contig"},
        {"byteorder": ">", "planarconfig": "contig"},
        {"bigtiff": True, "byteorder": ">", "planarconfig": "separate"},
        {"rowsperstrip": 7, "planarconfig": "contig", "extrasamples": [0, 0, 0, 0]},
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_tiff_of_five_bands(dtype: str, options: dict[str, Any], tmp_path: Path) -> None:
    if dtype.startswith("float") and options.get("predictor"):
        pytest.skip("the predictor of floats needs imagecodecs")
    array = (FIVE // (1 if dtype != "uint8" else 16)).astype(dtype)
    path = tmp_path / "a.tif"
    outer = {name: options[name] for name in ("bigtiff", "byteorder") if name in options}
    inner = {name: value for name, value in options.items() if name not in outer}
    data = np.moveaxis(array, 2, 0) if options["planarconfig"] == "separate" else array
    with tifffile.TiffWriter(path, **outer) as file:
        file.write(data, photometric="minisblack", metadata=None, **inner)
    assert kind_of(path) == Kind(dtype, 5)
    assert image_size(path) == (40, 50)
    assert np.array_equal(read_wide(path, 5).array, array)
    values = Values() if dtype == "uint8" else WIDE
    expected = array if dtype == "uint8" else np.rint(array.astype(float) * 255 / 4000).clip(0, 255)
    assert np.array_equal(read_image(path, 5, values=values), expected)


def test_rare_compressions_are_read_or_their_package_is_named(tmp_path: Path) -> None:
    Image.fromarray(FIVE[..., 0]).save(tmp_path / "one.tif", compression="tiff_lzw")
    assert np.array_equal(read_wide(tmp_path / "one.tif", 1).array[..., 0], FIVE[..., 0])
    tifffile.imwrite(tmp_path / "five.tif", FIVE, photometric="minisblack", planarconfig="contig")
    with tifffile.TiffFile(tmp_path / "five.tif", mode="r+b") as file:
        file.pages.first.tags["Compression"].overwrite(5)  # says that it is LZW
    with pytest.raises(DataError, match=r"pip install 'fullconv\[tiff\]'|damaged"):
        read_wide(tmp_path / "five.tif", 5)


def test_range_maps_low_to_0_and_high_to_255(tmp_path: Path) -> None:
    """By the formula, computed once more in whole numbers, for every kind of array."""
    for dtype in ("uint16", "int16", "int32", "uint32", "int64", "float16", "float32", "float64"):
        array = np.array([[-5, 0, 99, 100, 101, 199, 200, 300, 299, 301, 1000, 2000]], "int64").clip(
            0 if dtype[0] == "u" else -9
        )
        np.save(tmp_path / "a.npy", array.astype(dtype))
        found = read_image(tmp_path / "a.npy", 1, values=Values(((100, 300),)))[0, :, 0]
        exact = [min(255, max(0, round(255 * (int(v) - 100) / 200))) for v in array[0]]
        assert np.abs(found.astype(int) - exact).max() <= (1 if dtype == "float16" else 0), dtype


def test_bytes_stored_wider_stay_the_same(tmp_path: Path) -> None:
    array = np.arange(256).reshape(16, 16)
    for dtype in ("uint16", "int32", "float32"):
        tifffile.imwrite(tmp_path / "a.tif", array.astype(dtype))
        assert np.array_equal(read_image(tmp_path / "a.tif", 1, values=Values(((0, 255),)))[..., 0], array)
    Image.fromarray(array.astype(np.uint8)).save(tmp_path / "b.png")  # a range within a byte's takes bytes too
    assert np.array_equal(read_image(tmp_path / "b.png", 1, values=Values(((0, 255),)))[..., 0], array)


def test_nodata_and_not_finite_hold_nothing(tmp_path: Path) -> None:
    array = np.full((4, 5, 3), 0.5, np.float32)
    array[0, 0] = -9999
    array[0, 1] = (np.nan, np.inf, -9999)
    array[0, 2, 1] = np.nan  # one band of three
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
    pixels = read_pixels(tmp_path / "a.tif", 3, values=Values(((0, 1),), (-9999,), (7, 8, 9)))
    assert pixels.blank is not None
    assert np.argwhere(pixels.blank).tolist() == [[0, 0], [0, 1]]
    assert pixels.image[0, :3].tolist() == [[7, 8, 9], [7, 8, 9], [128, 8, 128]]
    assert (pixels.image[1:] == 128).all()
    per_band = read_pixels(tmp_path / "a.tif", 3, values=Values(((0, 1),), (0.5, None, 0.5)))
    assert per_band.blank is not None
    assert np.argwhere(per_band.blank).tolist() == [[0, 2]]  # 0.5, nan, 0.5


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_file_may_state_its_own_nodata(dtype: str, tmp_path: Path) -> None:
    array = np.full((4, 5, 3), 9, dtype)
    array[1, 2] = 3
    tifffile.imwrite(
        tmp_path / "a.tif", array, photometric="rgb", extratags=[(42113, "s", 0, "3", True)], metadata=None
    )
    assert kind_of(tmp_path / "a.tif").nodata == 3
    values = None if dtype == "uint8" else WIDE
    blank = read_pixels(tmp_path / "a.tif", 3, values=values).blank
    assert blank is not None
    assert np.argwhere(blank).tolist() == [[1, 2]]


def test_alpha_is_what_the_file_calls_alpha(tmp_path: Path) -> None:
    four = FIVE[..., :4]
    tifffile.imwrite(tmp_path / "alpha.tif", four, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "nir.tif", four, photometric="rgb", extrasamples=["unspecified"])
    tifffile.imwrite(tmp_path / "bands.tif", four, photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "nir8.tif", (four // 16).astype(np.uint8), photometric="rgb", extrasamples=[0])
    assert kind_of(tmp_path / "alpha.tif") == Kind("uint16", 3, True)
    assert kind_of(tmp_path / "nir.tif") == kind_of(tmp_path / "bands.tif") == Kind("uint16", 4)
    assert kind_of(tmp_path / "nir8.tif") == Kind("uint8", 4)
    assert read_image(tmp_path / "alpha.tif", 3, values=WIDE).shape == (40, 50, 3)
    assert np.array_equal(read_image(tmp_path / "nir8.tif", 4), four // 16)
    with pytest.raises(DataError, match="holds 4 bands of uint16, expected 3 channels"):
        read_image(tmp_path / "nir.tif", 3, values=WIDE)


def test_pages_are_bands_only_where_they_are_said_to_be(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "pages.tif", np.moveaxis(FIVE, 2, 0), photometric="minisblack", metadata=None)
    assert np.array_equal(read_wide(tmp_path / "pages.tif", 5).array, FIVE)
    with pytest.raises(DataError, match=r"holds 5 pages, expected one image.*'channels: 5'"):
        read_image(tmp_path / "pages.tif", 3, values=WIDE)
    with tifffile.TiffWriter(tmp_path / "overviews.tif") as file:  # as cloud-optimised GeoTIFFs have them
        file.write(FIVE, photometric="minisblack", planarconfig="contig", metadata=None)
        file.write(FIVE[::2, ::2], photometric="minisblack", planarconfig="contig", subfiletype=1, metadata=None)
    assert np.array_equal(read_wide(tmp_path / "overviews.tif", 5).array, FIVE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_pillow_turns(orientation: int, tmp_path: Path) -> None:
    grey = RANDOM.integers(0, 256, (4, 6)).astype(np.uint8)
    image = Image.fromarray(grey)
    image.getexif()[0x0112] = orientation
    tifffile.imwrite(
        tmp_path / "a.tif", grey.astype(np.uint16), extratags=[(274, "H", 1, orientation, True)], metadata=None
    )
    pixels = read_image(tmp_path / "a.tif", 1, values=Values(((0, 255),)))[..., 0]
    assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(image)))
    assert image_size(tmp_path / "a.tif") == pixels.shape


def test_16_bit_pgm_is_not_stretched(tmp_path: Path) -> None:
    values = np.array([[0, 5, 4095]], ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5\n# a camera of 12 bits\n3 1\n4095\n" + values.tobytes())
    assert read_wide(tmp_path / "a.pgm", 1).array[..., 0].tolist() == [[0, 5, 4095]]
    assert kind_of(tmp_path / "a.pgm") == Kind("uint16", 1)
    (tmp_path / "b.ppm").write_bytes(b"P6 1 1 4095\n" + values.tobytes())
    assert read_wide(tmp_path / "b.ppm", 3).array.tolist() == [[[0, 5, 4095]]]
    with pytest.raises(DataError, match="holds uint16 values, where 8-bit"):
        read_image(tmp_path / "b.ppm")
    (tmp_path / "c.ppm").write_bytes(b"P3 1 1 4095\n0 5 4095\n")
    with pytest.raises(DataError, match="save it as a 16-bit PNG"):
        read_image(tmp_path / "c.ppm", values=WIDE)


def test_other_values_than_the_range_is_for_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FIVE[..., :3], photometric="rgb")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", np.zeros((4, 4), np.complex64))
    with pytest.raises(DataError, match=r"a\.tif: holds uint16 values, where 8-bit images are expected"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"b\.png: holds 8-bit values, where the range \[0, 4000\] is expected"):
        read_image(tmp_path / "b.png", values=WIDE)
    with pytest.raises(DataError, match="holds complex64"):
        read_image(tmp_path / "c.npy", values=WIDE)
    (tmp_path / "d.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:900])
    with pytest.raises(DataError, match=r"d\.tif: truncated, it ends too early; copy"):
        read_image(tmp_path / "d.tif", values=WIDE)


def test_8_bit_tiff_of_every_common_form_is_what_pillow_shows(tmp_path: Path) -> None:
    rgb = Image.fromarray(RANDOM.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", *YCBCR, "LAB"):
        image = rgb.convert("RGB").convert(mode) if mode != "LA" else rgb.convert("RGBA").convert("LA")
        for compression in (None, "tiff_lzw", "tiff_deflate") + (("jpeg",) if mode in ("L", "RGB", "YCbCr") else ()):
            image.save(tmp_path / "a.tif", compression=compression)
            with Image.open(tmp_path / "a.tif") as again:
                expected = np.asarray(again.convert("RGBA" if mode == "LA" else "RGB").convert("RGB"))
            assert np.array_equal(read_image(tmp_path / "a.tif"), expected), (mode, compression)
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(np.asarray(rgb), 2, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "b.tif"), np.asarray(rgb))


def test_values_are_kept_and_refused_where_they_make_no_sense() -> None:
    values = Values(((0, 1.5), (2, 3), (4, 5)), (-9999, None, float("nan")), (1, 2, 3), "found")
    preprocessing = Preprocessing(values=values)
    again = Preprocessing.from_dict(preprocessing.to_dict())
    assert again == preprocessing
    assert again.values is not None
    assert again.values.source == "found"
    assert again.values.nodata == (-9999, None, None)
    old = {name: value for name, value in Preprocessing().to_dict().items() if name != "values"}
    assert Preprocessing.from_dict(old) == Preprocessing()  # a file of before
    with pytest.raises(UsageError, match="low, then high"):
        Values(((3, 3),))
    with pytest.raises(UsageError, match="range names 2 bands, the images have 3"):
        Preprocessing(values=Values(((0, 1), (0, 1))))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged EXIF
def test_damaged_tiffs_are_refused_in_one_line(tmp_path: Path) -> None:
    """Bytes changed at random, in the header and behind it."""
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, FIVE, photometric="minisblack", planarconfig="contig", compression="zlib", tile=(16, 16))
    whole, random = source.read_bytes(), np.random.default_rng(1)
    for _ in range(150):
        broken = bytearray(whole)
        for place in random.integers(4, [len(whole), 500][int(random.integers(2))], 4):
            broken[place] = random.integers(256)
        (tmp_path / "b.tif").write_bytes(broken[: random.integers(300, len(whole) + 1)])
        said, shape = "", (5,)
        try:
            shape = read_image(tmp_path / "b.tif", 5, values=WIDE).shape
        except DataError as error:
            said = str(error)
        assert "\n" not in said
        assert shape[-1] == 5
