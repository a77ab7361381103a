from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import ORIENTATION, image_size
from fullconv.images.masks import read_labels
from fullconv.images.pixels import read_image
from tests.builders.images import YCBCR

GRADIENT = np.add.outer(np.arange(20), 3 * np.arange(30)).astype(np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", *YCBCR])
def test_every_mode_of_8_bits_becomes_rgb(mode: str, tmp_path: Path) -> None:
    suffix = ".tif" if mode in ("CMYK", "YCbCr") else ".png"
    image = Image.fromarray(GRADIENT).convert(mode)
    path = tmp_path / f"image{suffix}"
    image.save(path)
    pixels = read_image(path)
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    if mode in ("L", "RGB", "RGBA", "LA"):
        assert np.array_equal(pixels[..., 0], GRADIENT)


def test_channels(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png", 1).shape == (20, 30, 1)
    assert read_image(tmp_path / "grey.png", 4).shape == (20, 30, 4)
    bands = np.random.default_rng(0).integers(0, 256, (5, 6, 7), dtype=np.uint8)
    np.save(tmp_path / "bands.npy", bands)
    assert np.array_equal(read_image(tmp_path / "bands.npy", 7), bands)
    assert image_size(tmp_path / "bands.npy") == (5, 6)
    with pytest.raises(DataError, match="holds 7 bands of uint8, expected 3 channels"):
        read_image(tmp_path / "bands.npy", 3)
    with pytest.raises(DataError, match="mode L, expected 7 bands"):
        read_image(tmp_path / "grey.png", 7)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GRADIENT).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    pixels = read_image(tmp_path / "turned.jpg", 1)[..., 0]
    assert pixels.shape == image_size(tmp_path / "turned.jpg") == (30, 20)
    assert np.abs(pixels.astype(int) - np.rot90(GRADIENT, -1)).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_tiff_is_turned_whatever_its_compression(
    mode: str, compression: str | None, orientation: int, tmp_path: Path
) -> None:
    """Pillow itself reads uncompressed files that are turned by a quarter as rows of the wrong length."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(GRADIENT * np.uint8(3)).convert(mode)
    image.save(tmp_path / "m.tif", exif=exif, compression=compression)
    image.save(tmp_path / "m.png", exif=exif)
    with Image.open(tmp_path / "m.png") as plain:
        expected = np.asarray(ImageOps.exif_transpose(plain).convert("RGB"))
    assert np.array_equal(read_image(tmp_path / "m.tif"), expected)
    assert image_size(tmp_path / "m.tif") == expected.shape[:2]


@pytest.mark.parametrize("name", ["m.gif", "m.png", "m.webp"])
def test_an_animation_is_no_image(name: str, tmp_path: Path) -> None:
    first, second = (Image.fromarray(GRADIENT + np.uint8(k)).convert("RGB") for k in (0, 9))
    first.save(tmp_path / name, save_all=True, append_images=[second], lossless=True)
    with pytest.raises(DataError, match="holds 2 frames, expected one image; save the right one alone"):
        read_image(tmp_path / name)


def test_a_thumbnail_before_the_picture_is_passed_over(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "m.tif") as file:
        file.write(GRADIENT[::2, ::2], subfiletype=1, metadata=None)
        file.write(GRADIENT, metadata=None)
    assert np.array_equal(read_image(tmp_path / "m.tif", 1)[..., 0], GRADIENT)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_files_are_named(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=f"cut{suffix}: truncated, it ends too early; copy or save it again"):
        read_image(path)


def test_damaged_files_are_named_with_what_the_library_says(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[2000:2040] = bytes(40)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: damaged \([a-z ]+\); copy or save it again"):
        read_image(tmp_path / "a.png")


def test_not_an_image_and_missing(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match="not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path / "nothing.png")
    (tmp_path / "bad.npy").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"not a readable \.npy"):
        read_image(tmp_path / "bad.npy", 5)


def test_decompression_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    )
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(DataError, match="60000x60000 pixels, more than the limit"):
        read_image(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS


def labels(path: Path, values: np.ndarray, encoding: MaskEncoding, classes: int = 3, **options: str) -> np.ndarray:
    Image.fromarray(values).save(path, **options)
    return read_labels(path, encoding, classes, 255)


def test_index_palette_and_grey_rgb_masks_are_ids(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    assert labels(tmp_path / "a.png", ids, MaskEncoding()).tolist() == ids.tolist()
    assert labels(tmp_path / "b.png", np.repeat(ids[..., None], 3, 2), MaskEncoding()).tolist() == ids.tolist()
    palette = Image.fromarray(ids)
    palette.putpalette([value for index in range(256) for value in (index, 9, 255 - index)])
    palette.save(tmp_path / "c.png")
    assert read_labels(tmp_path / "c.png", MaskEncoding(), 3, 255).tolist() == ids.tolist()
    Image.fromarray(np.array([[0, 299, 65535]], dtype=np.uint16)).save(tmp_path / "d.png")
    wide = read_labels(tmp_path / "d.png", MaskEncoding(void_values=(65535,)), 300, 65535)
    assert wide.tolist() == [[0, 299, 65535]]


def test_values_colours_and_void(tmp_path: Path) -> None:
    binary = MaskEncoding(values={0: 0, 255: 1}, void_values=())
    assert labels(tmp_path / "a.png", np.array([[0, 255]], dtype=np.uint8), binary).tolist() == [[0, 1]]
    camvid = MaskEncoding(void_values=(11, 255))
    assert labels(tmp_path / "b.png", np.array([[2, 11]], dtype=np.uint8), camvid).tolist() == [[2, 255]]
    kitti = MaskEncoding(colours={(255, 0, 0): 0, (255, 0, 255): 1}, void_colours=((0, 0, 0),))
    colours = np.array([[[255, 0, 0], [255, 0, 255], [0, 0, 0]]], dtype=np.uint8)
    assert labels(tmp_path / "c.png", colours, kitti).tolist() == [[0, 1, 255]]


def test_masks_that_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="id 7 at row 0, column 1; expected 0 to 2, 255"):
        labels(tmp_path / "a.png", np.array([[0, 7]], dtype=np.uint8), MaskEncoding())
    colours = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    with pytest.raises(DataError, match="an RGB mask, but no colour is named"):
        labels(tmp_path / "b.png", colours, MaskEncoding())
    with pytest.raises(DataError, match=r"colour \(4, 5, 6\) at row 0, column 1 stands for no class"):
        labels(tmp_path / "c.png", colours, MaskEncoding(colours={(1, 2, 3): 0}))
    with pytest.raises(DataError, match="stored as JPEG"):
        labels(tmp_path / "d.jpg", np.zeros((8, 8), np.uint8), MaskEncoding())
    Image.fromarray(GRADIENT).convert("CMYK").save(tmp_path / "e.tif")
    with pytest.raises(DataError, match=r"a mask of 4 bands \(SEPARATED\)"):
        read_labels(tmp_path / "e.tif", MaskEncoding(), 3, 255)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_masks_of_few_bits_are_ids(bits: int, tmp_path: Path) -> None:
    """Pillow stretches them to 0..255; the ids of the file are wanted."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ids = np.arange(8) % 2**bits
    packed = np.packbits(((ids[:, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8)).tobytes()
    header = struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    (tmp_path / "few.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert read_labels(tmp_path / "few.png", MaskEncoding(), 16, 255).tolist() == [ids.tolist()]


def test_more_than_255_classes_keep_id_255(tmp_path: Path) -> None:
    Image.fromarray(np.array([[254, 255, 299, 65535]], dtype=np.uint16)).save(tmp_path / "m.png")
    assert read_labels(tmp_path / "m.png", MaskEncoding(), 300, 65535).tolist() == [[254, 255, 299, 65535]]


def smooth(height: int, width: int) -> np.ndarray:
    """Colours that change slowly with the place: rows in red, columns in green."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 250 // height, columns * 250 // width, 0 * rows + 90], 2).astype(np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_jpegs_are_what_pillow_decodes(mode: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path, quality=80, exif=exif)
    with Image.open(path) as image:
        turned = ImageOps.exif_transpose(image)
        assert np.array_equal(read_image(path), np.asarray(turned.convert("RGB")))
        assert np.array_equal(read_image(path, 1)[..., 0], np.asarray(turned.convert("L")))
        assert image_size(path) == (turned.height, turned.width)


@pytest.mark.parametrize("shrink", [2, 4, 8])
@pytest.mark.parametrize("size", [(48, 64), (37, 51), (9, 100), (3, 5)])
def test_jpegs_read_smaller_show_the_same(shrink: int, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    pixels = smooth(*size)
    Image.fromarray(pixels).save(path, quality=95, subsampling=0)
    small = read_image(path, 3, shrink)
    assert small.shape == (-(-size[0] // shrink), -(-size[1] // shrink), 3)
    padded = np.pad(pixels, ((0, -size[0] % shrink), (0, -size[1] % shrink), (0, 0)), mode="edge").astype(float)
    blocks = padded.reshape(small.shape[0], shrink, small.shape[1], shrink, 3).mean((1, 3))
    whole = np.s_[: size[0] // shrink, : size[1] // shrink]  # blocks inside the image
    if small[whole].size:
        assert np.abs(small[whole] - blocks[whole]).mean() < 4


def test_other_files_are_read_whole_whatever_is_asked(tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 30)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 3, 4).shape == (20, 30, 3)


@pytest.mark.parametrize(
    "encoding",
    [
        MaskEncoding(),
        MaskEncoding(void_values=(11,)),
        MaskEncoding(values={0: 0, 128: 1, 255: 2}, void_values=()),
        MaskEncoding(values={7: 0, 8: 2}, void_values=(0, 255)),
    ],
)
def test_fast_and_slow_reading_of_byte_masks_agree(encoding: MaskEncoding, tmp_path: Path) -> None:
    known = [*(encoding.values or range(3)), *(encoding.void_values if encoding.void_values is not None else (255,))]
    raw = np.random.default_rng(0).choice(known, (30, 40)).astype(np.uint8)
    Image.fromarray(raw).save(tmp_path / "bytes.png")
    Image.fromarray(raw.astype(np.uint16)).save(tmp_path / "words.png")  # takes the general way
    fast, slow = (read_labels(tmp_path / name, encoding, 3, 255) for name in ("bytes.png", "words.png"))
    assert np.array_equal(fast, slow)
    for strange in sorted({1, 50, 100, 254} - set(known)):
        raw[3, 4] = strange
        Image.fromarray(raw).save(tmp_path / "bytes.png")
        if strange != 1 or encoding.values:
            with pytest.raises(DataError, match=rf"id {strange} at row 3, column 4"):
                read_labels(tmp_path / "bytes.png", encoding, 3, 255)


def test_jpegs_with_stray_bytes_are_read_as_pillow_reads_them(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(buffer, "JPEG")
    content = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(content[:-2] + bytes(240) + content[-2:])
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.array_equal(read_image(tmp_path / "a.jpg"), np.asarray(image))
    (tmp_path / "b.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="truncated, it ends too early"):
        read_image(tmp_path / "b.jpg")
