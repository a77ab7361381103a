"""The orientation of PNG files, which may stand behind their pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from fullconv.images.encoded import EncodedFile
from fullconv.images.files import image_size, stored_size
from fullconv.images.pixels import read_image


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks after its header, IEND last."""
    head = (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (head, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PIXELS = (b"IDAT", zlib.compress(2 * b"\0\1\2\3"))
TURNED = Image.Exif()
TURNED[0x0112] = 6
EXIF = (b"eXIf", TURNED.tobytes()[6:])
RAW = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 1\n" + TURNED.tobytes().hex().encode()))
XMP = (b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<a tiff:Orientation="8"/>')
REMARK = (b"tEXt", b"Comment\0none")
CHUNKS = {
    "plain": [PIXELS], "exif before": [EXIF, PIXELS], "exif behind": [PIXELS, EXIF], "raw before": [RAW, PIXELS],
    "raw behind": [PIXELS, RAW], "xmp before": [XMP, PIXELS], "xmp behind": [PIXELS, XMP],
    "xmp before, exif behind": [XMP, PIXELS, EXIF], "remark behind": [PIXELS, REMARK],
    "time": [PIXELS, (b"tIME", 7 * b"\1")],
    "two parts": [(b"IDAT", PIXELS[1][:5]), (b"IDAT", PIXELS[1][5:]), EXIF],
}  # fmt: skip


@pytest.mark.parametrize("name", CHUNKS)
@pytest.mark.parametrize("encoded", [False, True])
def test_the_orientation_of_a_png_is_pillow_s_wherever_it_stands(name: str, encoded: bool, tmp_path: Path) -> None:
    path, content = tmp_path / "a.png", png(*CHUNKS[name])
    path.write_bytes(content)
    with Image.open(path) as image:
        expected = image.getexif().get(0x0112, 1)
    assert stored_size(EncodedFile(content, "a.png", ".png") if encoded else path) == ((2, 3), expected)
    assert (expected == 1) == (name in ("plain", "remark behind", "time"))
    assert read_image(path).shape[:2] == image_size(path)


def test_a_png_is_not_decoded_for_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = tmp_path / "a.png", png(PIXELS, (b"tIME", 7 * b"\1"))
    path.write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert stored_size(path) == ((2, 3), 1)
    path.write_bytes(content[:-14])  # cut off: Pillow decides
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        stored_size(path)
