"""Mask files of Pillow's formats, as they are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import image_size
from fullconv.images.mask_file import UnfitMask
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import read_labels
from tests.builders.masks import IDS


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


def test_lossless_webp_masks_are_read_and_lossy_ones_refused(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    rgb = np.repeat(mask[..., None], 3, 2)
    Image.fromarray(rgb).save(tmp_path / "a.webp", lossless=True)
    assert np.array_equal(read_mask(tmp_path / "a.webp").stored[..., 0], mask)
    Image.fromarray(rgb).save(tmp_path / "b.webp", quality=90)
    with pytest.raises(DataError, match="compression changes labels"):
        read_mask(tmp_path / "b.webp")
