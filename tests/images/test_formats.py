"""Pillow's formats under our own limit of pixels, whatever the host program's is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import image_size, open_array, open_image
from fullconv.images.formats import FORMATS
from fullconv.images.mask_reading import read_mask
from fullconv.images.pixels import read_image
from tests.builders.bombs import little_memory, png_bomb


@pytest.mark.parametrize("read", [read_image, read_mask, image_size])
@pytest.mark.parametrize("host", [None, 100, 10**12])
def test_our_limit_holds_whatever_the_host_s_is(
    read: Callable[[Path], Any], host: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", host)
    (tmp_path / "bomb.png").write_bytes(png_bomb(66_000, 66_000))
    with little_memory(), pytest.raises(DataError, match=r"66000x66000 pixels, more than the limit of 536870912"):
        read(tmp_path / "bomb.png")
    (tmp_path / "good.png").write_bytes(png_bomb(100, 64))
    read(tmp_path / "good.png")
    assert host == Image.MAX_IMAGE_PIXELS


def test_images_between_pillow_s_limit_and_ours_are_opened(tmp_path: Path) -> None:
    """20,000 x 20,000: Pillow refuses 179 Mpixel by itself."""
    (tmp_path / "large.png").write_bytes(png_bomb(20_000, 20_000))
    assert image_size(tmp_path / "large.png") == (20_000, 20_000)
    with pytest.raises(DataError, match="more than the limit of 1000"), open_image(tmp_path / "large.png", most=1000):
        pass


@pytest.mark.parametrize("kind", sorted({*FORMATS, "MPO"} - {"MPO"}))
def test_every_format_opens_as_pillow_opens_it(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    file = tmp_path / "picture"
    Image.fromarray(values).save(file, format=kind)
    memory = EncodedFile(file.read_bytes(), "memory")
    with Image.open(file) as theirs, open_image(file) as ours, open_image(memory) as inside:
        assert (ours.format, ours.mode, ours.size) == (theirs.format, theirs.mode, theirs.size)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
        np.testing.assert_array_equal(np.asarray(inside), np.asarray(theirs))


def test_a_file_that_would_start_a_program_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    with pytest.raises(DataError, match="not an image that can be read"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("memory", [True, False])
def test_an_array_shorter_than_its_header_takes_no_memory(memory: bool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (20_000, 20_000, 3)})
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    path = EncodedFile(buffer.getvalue(), "memory", ".npy") if memory else tmp_path / "a.npy"
    with little_memory(), pytest.raises(DataError, match="more than its"):
        open_array(path)
    np.savez(tmp_path / "b.npy.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="not a readable"):
        open_array(tmp_path / "b.npy.npz")
