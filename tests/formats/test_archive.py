"""Archives in the place of folders: unpacked whole, or refused."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from fullconv.cli.main import run
from fullconv.errors import DataError
from fullconv.formats.archive import unpack
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked
from tests.builders.folders import Make, mask_file, picture


@pytest.mark.parametrize("kind", ["", "gz", "xz"])
def test_damaged_archives_never_open_as_smaller_ones(
    kind: str, make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    root = make_folder(4)
    path = tmp_path / "data.tar"
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(root, "data")
    whole = path.read_bytes()
    assert len(list(unpack(path).rglob("*.png"))) == 8
    opened = 0
    for place in range(3, len(whole) - 20, max(len(whole) // 60, 1)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255, whole[place + 1] ^ 85]) + whole[place + 2 :])
        try:
            folder = unpack(path)
        except DataError:
            continue
        opened += 1
        assert len(list(folder.rglob("*.png"))) == 8
    assert opened < 60 or not kind
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        unpack(path)


def test_half_an_archive_is_called_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert run(["check", str(tmp_path / "data.zip")]) == 3
    assert "a damaged or truncated archive" in capsys.readouterr().err


def test_links_and_bombs_in_zip_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"link\.zip: member link is a link"):
        open_dataset(tmp_path / "link.zip")
    monkeypatch.setattr("fullconv.formats.archive.LARGE", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(20 << 20))
    with pytest.raises(DataError, match=r"0 MiB would become 0\.0 GiB; refused"):
        open_dataset(tmp_path / "bomb.zip")
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as packed:
        member = tarfile.TarInfo("zeros.png")
        member.size = 20 << 20
        packed.addfile(member, io.BytesIO(bytes(20 << 20)))
    with pytest.raises(DataError, match="would become"):
        open_dataset(tmp_path / "bomb.tar.gz")
    assert not any((tmp_path / "cache").iterdir())


def test_an_archive_whose_names_are_utf_8_without_saying_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"été{number}.png", number)
        mask_file(root / "masks" / f"été{number}.png")
    (root / "train.txt").write_text("été0\nété1\nété2\n", encoding="utf-8")
    (root / "val.txt").write_text("été3\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    content = (tmp_path / "data.zip").read_bytes()
    heads = rb"(PK\x03\x04..|PK\x01\x02....).\x08"  # the bit that names are UTF-8, which macOS leaves out
    unsaid = re.sub(heads, lambda head: head.group(1) + b"\0\0", content, flags=re.DOTALL)
    assert unsaid != content
    (tmp_path / "data.zip").write_bytes(unsaid)
    found = checked(tmp_path / "data.zip", capsys)
    assert found["images"] == {"train": 3, "val": 1}
    assert "not used: 2 .png in images (été4.png, été5.png)" in str(found["printed"])


def pack_zip(root: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, Path("top") / file.relative_to(root))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_stand_for_folders(kind: str, make_folder: Make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    root, path = make_folder(3), tmp_path / f"data.{kind}"
    if kind == "zip":
        pack_zip(root, path)
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, "top")
    spec = open_dataset(path)
    assert len(spec.split("train")) == 2
    assert open_dataset(path).root == spec.root


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "C:/evil.png"])
def test_archives_that_reach_outside_are_refused(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(DataError, match="outside its folder"):
        open_dataset(tmp_path / "evil.zip")
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "evil.png").exists()


def test_links_in_tar_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    with pytest.raises(DataError, match="link or device"):
        open_dataset(tmp_path / "evil.tar")
