"""The files of a model: what to call it, and whether they have changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fullconv.model_file import BEST, HUB, model_file

VERSION = 12
"""Digits of a version: the beginning of the SHA-256 of the model's files."""
Stamp = tuple[tuple[int, int, int], ...]


def named(given: str) -> tuple[str, str]:
    """``NAME=PATH``, or a path and what to call it: its folder where its own name says nothing."""
    name, equals, path = given.partition("=")
    if equals and name and "/" not in name and not Path(given).exists():
        return name, path
    file = Path(given)
    return (file.resolve().parent.name if file.name in (BEST, HUB) else file.stem or file.resolve().name), given


def files_of(file: Path) -> list[Path]:
    """The model file, and what OpenVINO keeps beside it."""
    found = model_file(file)
    beside = found.with_suffix(".bin")
    return [found, beside] if found.suffix == ".xml" and beside.is_file() else [found]


def stamp(file: Path) -> Stamp:
    """Something that changes with a model's files.

    Raises:
        OSError, UsageError: they are not there.
    """
    return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in (path.stat() for path in files_of(file)))


def version_of(file: Path) -> str:
    """Of a model's content."""
    digest = hashlib.sha256()
    for path in files_of(file):
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:VERSION]
