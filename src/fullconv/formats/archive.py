"""A zip or tar archive in the place of a data folder."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from fullconv.errors import DataError
from fullconv.files import cache_folder, leads_outside

DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError,
    NotImplementedError, ValueError,
)  # fmt: skip
LARGE, MOST_TIMES = 1 << 30, 200
"""What is packed may become this many bytes, or this many times its own size, without a question."""

UTF_8 = 0x800
"""The bit by which a zip says that a name is UTF-8."""


def unpack(path: Path) -> Path:
    """Unpack once into the cache (keyed by path, size and time of change) and return the folder.

    Raises:
        DataError: damaged, or a member that would land outside the folder (absolute path, ``..``, link).
    """
    status = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:16]
    folder = cache_folder() / f"{path.name.split('.')[0]}-{key}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking-"))
    try:
        _extract(path, partial)
        partial.rename(folder)
    except DataError:  # refused; it is a ValueError too
        raise
    except DAMAGED as error:
        if folder.is_dir():  # another process was faster
            return folder
        raise DataError(f"{path}: damaged or cannot be unpacked into {folder.parent} ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _extract(path: Path, folder: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path, metadata_encoding=_names_in(path)) as archive:
            for info in archive.infolist():
                _refuse_outside(path, info.filename)
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise DataError(f"{path}: member {info.filename} is a link; only files and folders are unpacked")
            _refuse_bomb(path, sum(info.file_size for info in archive.infolist()))
            archive.extractall(folder)
        return
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            _refuse_outside(path, member.name)
            if not (member.isfile() or member.isdir()):
                raise DataError(
                    f"{path}: member {member.name} is a link or device; only files and folders are unpacked"
                )
        _refuse_bomb(path, sum(member.size for member in archive.getmembers()))
        _refuse_cut(path, archive)
        _write_members(archive, folder)


def _write_members(archive: tarfile.TarFile, folder: Path) -> None:
    """Files and folders alone, whose names were looked at; no owners, rights or times.

    As tarfile's filter ``data`` does, which Python before 3.11.4 has not.
    """
    for member in archive.getmembers():
        target = folder / member.name
        content = archive.extractfile(member)
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)


def _names_in(path: Path) -> str | None:
    """The encoding of a zip's names that do not state it: UTF-8 if they are (macOS); None: the format's own."""
    with zipfile.ZipFile(path) as archive:
        unsaid = [info.filename.encode("cp437") for info in archive.infolist() if not info.flag_bits & UTF_8]
    try:
        return "utf-8" if not b"".join(unsaid).isascii() and b"\n".join(unsaid).decode() else None
    except UnicodeDecodeError:
        return None


def _refuse_bomb(path: Path, unpacked: int) -> None:
    """Refuse what would fill the disk from a small file."""
    refuse_bomb(str(path), path.stat().st_size, unpacked, LARGE, "unpack it by hand if that is meant")


def refuse_bomb(where: str, packed: int, unpacked: int, large: int = LARGE, remedy: str = "fetch it again") -> None:
    """Refuse what would fill disk or memory from little.

    Raises:
        DataError: ``unpacked`` bytes are more than ``large`` and more than :data:`MOST_TIMES` of the ``packed`` ones.
    """
    if unpacked > max(large, MOST_TIMES * packed):
        raise DataError(
            f"{where}: {packed / 2**20:.1f} MiB would become {unpacked / 2**30:.1f} GiB; refused (a decompression "
            f"bomb?): {remedy}"
        )


def _refuse_cut(path: Path, archive: tarfile.TarFile) -> None:
    """tarfile takes a damaged header for the end; the true end is a block of zeros, and a checksum where compressed."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    block = archive.fileobj.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise DataError(f"{path}: damaged or cut short after {len(archive.getmembers())} members; fetch it again")
    while archive.fileobj.read(1 << 20):
        pass


def _refuse_outside(path: Path, name: str) -> None:
    if leads_outside(name):
        raise DataError(
            f"{path}: member {name!r} would land outside its folder; refused, pack it again with plain paths"
        )
