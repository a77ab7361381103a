"""Mask files of every kind, compared with Pillow and tifffile."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from fullconv.errors import DataError
from fullconv.images.encoding import UNLABELLED, MaskEncoding
from fullconv.images.files import image_size
from fullconv.images.mask_file import UnfitMask, packed
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import read_labels

IDS = np.random.default_rng(0).integers(0, 3, (11, 14)).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [255, 255, 255], [200, 10, 30]], np.uint8)
NAMED = MaskEncoding(colours={(0, 0, 0): 0, (255, 255, 255): 1, (200, 10, 30): 2})


def palette_file(order: np.ndarray) -> Image.Image:
    """``IDS`` as a palette image whose value ``order[i]`` has the colour of class ``i``."""
    image = Image.fromarray(order[IDS].astype(np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[order] = COLOURS
    image.putpalette(table.ravel().tolist())
    return image


def alpha(value: int) -> np.ndarray:
    return np.dstack([COLOURS[IDS], np.full(IDS.shape, value, np.uint8)])


FILES: dict[str, Any] = {
    "rgb.png": Image.fromarray(COLOURS[IDS]),
    "rgb.bmp": Image.fromarray(COLOURS[IDS]),
    "rgb.tif": Image.fromarray(COLOURS[IDS]),
    "rgba.png": Image.fromarray(alpha(255)),
    "veiled.png": Image.fromarray(alpha(90)),
    "palette.png": palette_file(np.arange(3)),
    "permuted.png": palette_file(np.array([7, 0, 4])),
    "permuted.gif": palette_file(np.array([7, 0, 4])),
    "permuted.bmp": palette_file(np.array([7, 0, 4])),
    "permuted.tif": palette_file(np.array([7, 0, 4])),
}


@pytest.mark.parametrize("name", FILES)
def test_named_colours_decide_however_a_file_stores_them(name: str, tmp_path: Path) -> None:
    FILES[name].save(tmp_path / name)
    assert np.array_equal(read_labels(tmp_path / name, NAMED, 3, 255), IDS)
    with Image.open(tmp_path / name) as picture:  # what any viewer shows
        assert np.array_equal(read_mask(tmp_path / name).packed(), packed(np.array(picture.convert("RGB"))))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pbm"])
@pytest.mark.parametrize("inverted", [False, True])
def test_one_bit_and_grey_are_black_and_white(suffix: str, inverted: bool, tmp_path: Path) -> None:
    white = (IDS > 0) ^ inverted
    encoding = MaskEncoding(colours={(0, 0, 0): int(inverted), (255, 255, 255): int(not inverted)})
    Image.fromarray(white).save(tmp_path / f"bits{suffix}")
    assert np.array_equal(read_labels(tmp_path / f"bits{suffix}", encoding, 2, 255), IDS > 0)
    if suffix != ".pbm":
        Image.fromarray(white.astype(np.uint8) * 255).save(tmp_path / f"grey{suffix}")
        assert np.array_equal(read_labels(tmp_path / f"grey{suffix}", encoding, 2, 255), IDS > 0)


@pytest.mark.parametrize("compression", [None, "group4", "packbits"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_bits_that_mean_white_or_black(compression: str | None, photometric: int, tmp_path: Path) -> None:
    white = IDS > 0
    image = Image.fromarray(white)
    image.save(tmp_path / "bits.tif", compression=compression, tiffinfo={262: photometric})
    with Image.open(tmp_path / "bits.tif") as picture:
        assert np.array_equal(read_mask(tmp_path / "bits.tif").stored, np.asarray(picture))


def test_sixteen_bits_are_a_colour_only_where_they_are_one_of_eight(tmp_path: Path) -> None:
    encoding = MaskEncoding(colours={(0, 0, 0): 0, (255, 255, 255): 1})
    Image.fromarray((IDS > 0).astype(np.uint16) * 65535).save(tmp_path / "wide.png")
    assert np.array_equal(read_labels(tmp_path / "wide.png", encoding, 2, 255), IDS > 0)
    Image.fromarray(IDS.astype(np.uint16)).save(tmp_path / "ids.png")
    with pytest.raises(DataError, match=r"value [12], without a colour, at row 0"):
        read_labels(tmp_path / "ids.png", encoding, 2, 255)


def test_palettes_of_tiff_with_eight_bits_in_sixteen(tmp_path: Path) -> None:
    table = np.zeros((3, 256), np.uint16)
    table[:, :3] = COLOURS.T
    for scale in (1, 256, 257):
        tifffile.imwrite(tmp_path / "p.tif", IDS, photometric="palette", colormap=table * scale)
        assert np.array_equal(read_labels(tmp_path / "p.tif", NAMED, 3, 255), IDS)


def test_what_a_transparent_pixel_is_has_to_be_said(tmp_path: Path) -> None:
    picture = alpha(255)
    picture[:2, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="28 pixels are transparent, first at row 0, column 0; what are they"):
        read_labels(tmp_path / "m.png", NAMED, 3, 255)
    for said, index in ((UNLABELLED, 255), (2, 2)):
        encoding = MaskEncoding(colours=NAMED.colours, transparent=said)
        found = read_labels(tmp_path / "m.png", encoding, 3, 255)
        assert (found[:2] == index).all()
        assert np.array_equal(found[2:], IDS[2:])
    picture[5, 3, 3] = 100
    Image.fromarray(picture).save(tmp_path / "m.png")
    with pytest.raises(UnfitMask, match=r"half transparent pixels \(alpha 100 at row 5, column 3\)"):
        read_mask(tmp_path / "m.png")


def test_a_transparent_entry_of_a_palette_is_an_id_like_others_but_a_question_where_colours_count(
    tmp_path: Path,
) -> None:
    palette_file(np.arange(3)).save(tmp_path / "m.png", transparency=0)
    assert np.array_equal(read_labels(tmp_path / "m.png", MaskEncoding(), 3, 255), IDS)
    with pytest.raises(DataError, match="are transparent"):
        read_labels(tmp_path / "m.png", NAMED, 3, 255)


def test_a_colour_that_png_calls_transparent_is_a_question(tmp_path: Path) -> None:
    Image.fromarray(COLOURS[IDS]).save(tmp_path / "m.png", transparency=(200, 10, 30))
    with pytest.raises(DataError, match=rf"{int((IDS == 2).sum())} pixels are transparent"):
        read_labels(tmp_path / "m.png", NAMED, 3, 255)
    Image.fromarray(IDS).save(tmp_path / "grey.png", transparency=2)  # an id like others
    assert np.array_equal(read_labels(tmp_path / "grey.png", MaskEncoding(), 3, 255), IDS)


@pytest.mark.parametrize("bits", [2, 4])
def test_palettes_of_few_bits(bits: int, tmp_path: Path) -> None:
    palette_file(np.array([2, 0, 1])).save(tmp_path / "m.png", bits=bits)
    assert np.array_equal(read_labels(tmp_path / "m.png", NAMED, 3, 255), IDS)


def test_a_value_in_another_colour_than_elsewhere_is_refused(tmp_path: Path) -> None:
    palette_file(np.arange(3)).save(tmp_path / "m.png")
    shown = {i: tuple(colour) for i, colour in enumerate(COLOURS.tolist())}
    files = dict.fromkeys(range(3), "other.png")
    assert np.array_equal(read_labels(tmp_path / "m.png", MaskEncoding(palette=shown, palette_of=files), 3, 255), IDS)
    shown[1], shown[2] = shown[2], shown[1]
    with pytest.raises(DataError, match=r"value 1 as \(255, 255, 255\), that of other.png as \(200, 10, 30\)"):
        read_labels(tmp_path / "m.png", MaskEncoding(palette=shown, palette_of=files), 3, 255)


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u2", "u4", "f4", "f8"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_numbers_of_every_kind_with_values_below_0(kind: str, compression: str | None, tmp_path: Path) -> None:
    values = IDS.astype(kind)
    void = {"i1": -1, "u2": 65000, "u4": 4_000_000_000}.get(kind, -9999)
    values[:, :2] = void
    if compression == "lzw":
        if kind in ("u4", "i1", "f8"):
            pytest.skip("Pillow, which writes LZW here, does not write this kind")
        Image.fromarray(values).save(tmp_path / "m.tif", compression="tiff_lzw")
    else:
        tifffile.imwrite(tmp_path / "m.tif", values, compression=compression)
        assert np.array_equal(tifffile.imread(tmp_path / "m.tif"), values)
    found = read_labels(tmp_path / "m.tif", MaskEncoding(void_values=(void,)), 3, 255)
    assert np.array_equal(found, np.where(values == void, 255, IDS))
    with pytest.raises(DataError, match=f"holds id {void} at row 0, column 0; expected 0 to 2, 255"):
        read_labels(tmp_path / "m.tif", MaskEncoding(), 3, 255)


def test_arrays_of_bool_float_and_negative_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", IDS > 0)
    assert np.array_equal(read_labels(tmp_path / "m.npy", MaskEncoding(), 2, 255), IDS > 0)
    values = IDS.astype(np.float32)
    values[3] = np.nan
    values[4] = -5
    np.save(tmp_path / "m.npy", values)
    found = read_labels(tmp_path / "m.npy", MaskEncoding(void_values=(-5,)), 3, 255)
    assert (found[3:5] == 255).all()
    assert np.array_equal(found[5:], IDS[5:])
    values[6, 7] = -np.inf
    np.save(tmp_path / "m.npy", values)
    with pytest.raises(UnfitMask, match=r"holds -inf at row 6, column 7, no integer"):
        read_mask(tmp_path / "m.npy")
    tifffile.imwrite(tmp_path / "m.tif", values, extratags=[(42113, "s", 0, "-inf", True)])
    found = read_labels(tmp_path / "m.tif", MaskEncoding(void_values=(-5,)), 3, 255)
    assert found[6, 7] == 255
    assert np.array_equal(np.delete(found[6], 7), np.delete(IDS[6], 7))
    values[6, 7] = 0.5
    np.save(tmp_path / "m.npy", values)
    with pytest.raises(UnfitMask, match=r"holds 0.5 at row 6, column 7, no integer"):
        read_mask(tmp_path / "m.npy")
    np.save(tmp_path / "m.npy", np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(DataError, match=r"holds uint8 \[3, 4, 5\]; expected integers \[height, width\]"):
        read_mask(tmp_path / "m.npy")


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


PLANES = np.stack([IDS == 1, IDS == 2])


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


@pytest.mark.parametrize("name", ["m.gif", "m.png", "m.webp"])
def test_frames_of_an_animation_are_counted(name: str, tmp_path: Path) -> None:
    first, *others = (Image.fromarray(np.repeat(((IDS + i) % 3 * 100)[..., None], 3, 2)) for i in range(3))
    first.save(tmp_path / name, save_all=True, append_images=others, lossless=True)
    with pytest.raises(UnfitMask, match="holds 3 frames; a mask is one picture"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.webp", "lzw.tif"])
def test_masks_are_turned_as_images_are(name: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {"lossless": True} if name.endswith("webp") else {"compression": "tiff_lzw"} if "lzw" in name else {}
    Image.fromarray(np.repeat(IDS[..., None], 3, 2)).save(tmp_path / name, exif=exif, **more)
    Image.fromarray(IDS).save(tmp_path / "plain.png", exif=exif)
    with Image.open(tmp_path / "plain.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    found = read_labels(tmp_path / name, MaskEncoding(), 3, 255)
    assert np.array_equal(found, expected)
    assert image_size(tmp_path / name) == expected.shape
    assert read_mask(tmp_path / name).orientation == orientation


@pytest.mark.parametrize("most", [2, 3, 200, 1000, 40000])
def test_pgm_of_any_maximum_keeps_its_numbers(most: int, tmp_path: Path) -> None:
    values = IDS.astype(">u2" if most > 255 else "u1")
    (tmp_path / "m.pgm").write_bytes(b"P5 14 11 %d\n" % most + values.tobytes())
    assert np.array_equal(read_labels(tmp_path / "m.pgm", MaskEncoding(), 3, 255), IDS)


def test_jpeg_inside_tiff_is_refused(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "m.tif", compression="jpeg")
    with pytest.raises(DataError, match="TIFF with JPEG compression, whose compression changes labels"):
        read_mask(tmp_path / "m.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated_tiff_is_named(compression: str | None, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 3, (64, 64), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", noise, compression=compression)
    content = (tmp_path / "m.tif").read_bytes()
    (tmp_path / "m.tif").write_bytes(content[:-300])
    with pytest.raises(DataError, match=r"m.tif: damaged or truncated"):
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


def test_lossless_webp_masks_are_read_and_lossy_ones_refused(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    rgb = np.repeat(mask[..., None], 3, 2)
    Image.fromarray(rgb).save(tmp_path / "a.webp", lossless=True)
    assert np.array_equal(read_mask(tmp_path / "a.webp").stored[..., 0], mask)
    Image.fromarray(rgb).save(tmp_path / "b.webp", quality=90)
    with pytest.raises(DataError, match="compression changes labels"):
        read_mask(tmp_path / "b.webp")
