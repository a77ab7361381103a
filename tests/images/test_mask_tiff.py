"""Masks in TIFF files: pages, bands, no data, compressions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import image_size
from fullconv.images.mask_file import UnfitMask
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import read_labels
from tests.builders.masks import COLOURS, IDS, NAMED, PLANES


@pytest.mark.parametrize("compression", [None, "group4", "packbits"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_bits_that_mean_white_or_black(compression: str | None, photometric: int, tmp_path: Path) -> None:
    white = IDS > 0
    image = Image.fromarray(white)
    image.save(tmp_path / "bits.tif", compression=compression, tiffinfo={262: photometric})
    with Image.open(tmp_path / "bits.tif") as picture:
        assert np.array_equal(read_mask(tmp_path / "bits.tif").stored, np.asarray(picture))


def test_palettes_of_tiff_with_eight_bits_in_sixteen(tmp_path: Path) -> None:
    table = np.zeros((3, 256), np.uint16)
    table[:, :3] = COLOURS.T
    for scale in (1, 256, 257):
        tifffile.imwrite(tmp_path / "p.tif", IDS, photometric="palette", colormap=table * scale)
        assert np.array_equal(read_labels(tmp_path / "p.tif", NAMED, 3, 255), IDS)


def test_gdal_s_no_data(tmp_path: Path) -> None:
    def write(values: np.ndarray, empty: str) -> None:
        tifffile.imwrite(tmp_path / "m.tif", values, extratags=[(42113, "s", 0, empty, True)])

    lowest = np.finfo(np.float32).min
    values = IDS.astype(np.float32)
    values[2] = lowest
    write(values, str(lowest))
    found = read_labels(tmp_path / "m.tif", MaskEncoding(), 3, 255)
    assert (found[2] == 255).all()
    assert np.array_equal(found[3:], IDS[3:])
    write(IDS, "0")
    with pytest.raises(DataError, match="GDAL's no-data value is 0, which is class 0 too"):
        read_labels(tmp_path / "m.tif", MaskEncoding(), 3, 255)
    void = read_labels(tmp_path / "m.tif", MaskEncoding(void_values=(0,)), 3, 255)
    assert np.array_equal(void, np.where(IDS == 0, 255, IDS))
    plain = MaskEncoding(values={0: 0, 1: 1, 2: 2})
    assert np.array_equal(read_labels(tmp_path / "m.tif", plain, 3, 255), IDS)
    write(IDS, "nan")
    assert np.array_equal(read_labels(tmp_path / "m.tif", MaskEncoding(), 3, 255), IDS)


@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize("how", ["pages", "bands", "contiguous", "imagej"])
def test_a_page_or_band_for_each_class(how: str, top: int, tmp_path: Path) -> None:
    path, planes = tmp_path / "m.tif", PLANES.astype(np.uint8) * np.uint8(top)
    if how == "pages":
        with tifffile.TiffWriter(path) as file:
            for plane in planes:
                file.write(plane, metadata=None, contiguous=False)
    elif how == "imagej":
        tifffile.imwrite(path, planes, imagej=True)
    else:
        kind = "separate" if how == "bands" else "contig"
        array = planes if kind == "separate" else np.moveaxis(planes, 0, -1)
        tifffile.imwrite(path, array, photometric="minisblack", planarconfig=kind, metadata=None)
    assert np.array_equal(read_labels(path, MaskEncoding(), 3, 255), IDS)
    whole = read_labels(path, MaskEncoding(), 2, 255)
    assert np.array_equal(whole, np.choose(IDS, [255, 0, 1]))
    with pytest.raises(DataError, match=r"holds 2 (page|band)s, 0/1 maps, for 5 classes"):
        read_labels(path, MaskEncoding(), 5, 255)


def test_pages_that_are_no_maps_are_named(tmp_path: Path) -> None:
    def write(*arrays: np.ndarray, **more: Any) -> Path:
        with tifffile.TiffWriter(tmp_path / "m.tif") as file:
            for array in arrays:
                file.write(array, metadata=None, **more)
        return tmp_path / "m.tif"

    with pytest.raises(UnfitMask, match="holds 2 pages, and page 2 holds values 0, 7"):
        read_mask(write(PLANES[0].astype(np.uint8), PLANES[1].astype(np.uint8) * np.uint8(7)))
    both = int((IDS == 2).sum())
    with pytest.raises(UnfitMask, match=rf"pages 1 and 2 of 2 overlap \({both} pixels, first at row \d+, column \d+\)"):
        read_mask(write((IDS > 0).astype(np.uint8), (IDS == 2).astype(np.uint8)))
    with pytest.raises(UnfitMask, match=r"pages of different sizes \(page 1 14x11, page 2 7x6\)"):
        read_mask(write(IDS, IDS[::2, ::2]))
    small = [(IDS, 0), (IDS[::2, ::2], 1)]
    for order in (small, small[::-1]):  # an overview, or a thumbnail first
        with tifffile.TiffWriter(tmp_path / "m.tif") as file:
            for array, reduced in order:
                file.write(array, subfiletype=reduced, metadata=None)
        assert np.array_equal(read_labels(tmp_path / "m.tif", MaskEncoding(), 3, 255), IDS)
        assert image_size(tmp_path / "m.tif") == IDS.shape


def test_gdal_s_mask_inside_the_file_is_void(tmp_path: Path) -> None:
    valid = IDS != 1
    with tifffile.TiffWriter(tmp_path / "m.tif") as file:
        file.write(IDS, metadata=None)
        file.write(valid, subfiletype=4, photometric="mask", metadata=None)
    assert np.array_equal(read_labels(tmp_path / "m.tif", MaskEncoding(), 3, 255), np.where(valid, IDS, 255))


def test_jpeg_inside_tiff_is_refused(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "m.tif", compression="jpeg")
    with pytest.raises(DataError, match="TIFF with JPEG compression, whose compression changes labels"):
        read_mask(tmp_path / "m.tif")


@pytest.mark.parametrize(
    ("compression", "said"), [(None, "truncated, it ends too early"), ("zlib", r"damaged \(.*decompress.*\)")]
)
def test_truncated_tiff_is_named(compression: str | None, said: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 3, (64, 64), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", noise, compression=compression)
    content = (tmp_path / "m.tif").read_bytes()
    (tmp_path / "m.tif").write_bytes(content[:-300])
    with pytest.raises(DataError, match=rf"m\.tif: {said}; copy"):
        read_mask(tmp_path / "m.tif")


def test_colours_of_16_bits_are_not_cut_to_8(tmp_path: Path) -> None:
    """libtiff's codecs come through Pillow, which would cut them."""
    wide = np.repeat(IDS[..., None].astype(np.uint16) * 300, 3, 2)
    tifffile.imwrite(tmp_path / "m.tif", wide, photometric="rgb")
    with pytest.raises(DataError, match="a colour mask of 16 bits, which would be cut to 8"):
        read_mask(tmp_path / "m.tif")
    (tmp_path / "lzw.tif").write_bytes(lzw(wide))
    with pytest.raises(DataError, match=r"a colour mask of 16 bits|3 bands of uint16, compressed as LZW"):
        read_mask(tmp_path / "lzw.tif")


def lzw(array: np.ndarray) -> bytes:
    """A TIFF file of 16-bit RGB whose one strip is LZW-compressed by Pillow, as that of a grey file of its bytes."""
    flat = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    inner, outer = io.BytesIO(), io.BytesIO()
    Image.fromarray(flat).save(inner, "TIFF", compression="tiff_lzw", tiffinfo={278: len(flat)})
    with tifffile.TiffFile(io.BytesIO(inner.getvalue())) as tiff:
        page = tiff.pages.first
        strip = inner.getvalue()[page.dataoffsets[0] : page.dataoffsets[0] + page.databytecounts[0]]
    tifffile.imwrite(outer, array, photometric="rgb", rowsperstrip=len(array))
    content = bytearray(outer.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as tiff:
        tags = tiff.pages.first.tags
        for code, value, width in ((259, 5, 2), (273, len(content), 4), (279, len(strip), 4)):
            place = tags[code].valueoffset
            content[place : place + width] = value.to_bytes(width, "little")
    return bytes(content) + strip
