"""Mask files of every kind, compared with Pillow and tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv.errors import DataError
from fullconv.images.encoding import UNLABELLED, MaskEncoding
from fullconv.images.mask_file import UnfitMask, packed
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import read_labels
from tests.builders.masks import COLOURS, IDS, NAMED, palette_file


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


def test_sixteen_bits_are_a_colour_only_where_they_are_one_of_eight(tmp_path: Path) -> None:
    encoding = MaskEncoding(colours={(0, 0, 0): 0, (255, 255, 255): 1})
    Image.fromarray((IDS > 0).astype(np.uint16) * 65535).save(tmp_path / "wide.png")
    assert np.array_equal(read_labels(tmp_path / "wide.png", encoding, 2, 255), IDS > 0)
    Image.fromarray(IDS.astype(np.uint16)).save(tmp_path / "ids.png")
    with pytest.raises(DataError, match=r"value [12], without a colour, at row 0"):
        read_labels(tmp_path / "ids.png", encoding, 2, 255)


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
