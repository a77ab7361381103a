"""Shards at an address: the index is fetched first, a shard when it is needed, and not all are kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from fullconv.errors import FullconvError, UsageError
from fullconv.files import ORIGIN, cache_folder

INDEX = "index.json"
KEPT_GB = 32.0


class Unreachable(Exception):
    """Something far cannot be fetched; says why."""


def mirror(address: str, names: Sequence[str]) -> tuple[Path, str]:
    """A folder that stands for shards at an address (``https://...``, ``s3://...``), and a line about it.

    The index and the small files ``names`` are fetched now, a shard when a sample of its is first read. All lie in
    ``$FULLCONV_CACHE``; shards may take 32 GB together (or ``$FULLCONV_SHARDS_GB``), those read longest ago go first.

    Raises:
        UsageError: no index there, or the address cannot be reached.
    """
    address = address.rstrip("/").removesuffix(f"/{INDEX}")
    tail = re.sub(r"[^\w.-]+", "_", address.rpartition("/")[2])
    folder = cache_folder() / f"{tail}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    index = folder / INDEX
    before = index.read_bytes() if index.is_file() else b""
    try:
        _fetch(f"{address}/{INDEX}", index)
    except Unreachable as error:
        if before:
            return folder, f"{address} cannot be reached ({error}): what was fetched before is used"
        raise UsageError(
            f"{address}/{INDEX}: cannot be fetched ({error}); give the address of a folder of shards with their index, "
            "as fullconv convert DATA OUT --to webdataset writes it"
        ) from error
    if index.read_bytes() != before:
        for path in folder.glob("*.tar"):
            path.unlink(missing_ok=True)
    for name in names:
        (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(Unreachable):  # all of them are optional
            _fetch(f"{address}/{name}", folder / name)
    (folder / ORIGIN).write_text(address, encoding="utf-8")
    return folder, f"shards at {address}, fetched as they are needed"


def open_shard(shard: Path) -> BinaryIO:
    """The shard; a far one is fetched first if it is not here, or no longer."""
    origin = shard.parent / ORIGIN
    if not origin.is_file():
        return shard.open("rb")
    with contextlib.suppress(FileNotFoundError):
        os.utime(shard)  # those read longest ago go first
        return shard.open("rb")
    with FileLock(shard.with_suffix(".lock")):  # of many workers one fetches
        if not shard.is_file():
            _fetch_shard(f"{origin.read_text(encoding='utf-8')}/{shard.name}", shard)
        return shard.open("rb")


def _fetch_shard(address: str, shard: Path) -> None:
    """Fetch one, and let go of those read longest ago.

    Raises:
        FullconvError: it cannot be fetched. No DataError: not this sample is bad, all are out of reach.
    """
    try:
        _fetch(address, shard)
    except Unreachable as error:
        raise FullconvError(f"{address}: cannot be fetched ({error}); check the connection and the disk") from error
    limit = float(os.environ.get("FULLCONV_SHARDS_GB") or KEPT_GB) * 1e9
    kept = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in shard.parent.glob("*.tar")), reverse=True)
    total = 0
    for _, size, path in kept:
        total += size
        if total > limit and path != shard:
            path.unlink(missing_ok=True)  # whoever has it open goes on reading it


def _fetch(address: str, path: Path) -> None:
    """Fetch beside and rename: other processes see the whole file or none.

    Raises:
        Unreachable: it cannot be fetched.
    """
    import fsspec

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".fetching-")
    os.close(handle)
    try:
        system, place = fsspec.core.url_to_fs(address)
        system.get_file(place, name)
        os.replace(name, path)
    except FileNotFoundError as error:
        raise Unreachable("there is no such file") from error
    except Exception as error:  # each of fsspec's plug-ins has its own
        raise Unreachable(" ".join(str(error).split()) or type(error).__name__) from error
    finally:
        Path(name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that was made for nothing
            path.parent.rmdir()
