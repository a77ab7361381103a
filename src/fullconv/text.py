"""Reading text whatever program wrote it: by its byte order mark, else as UTF-8; never garbled."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import itertools
import json
import unicodedata
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fullconv.errors import DataError, FullconvError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
HEAD = 4096
WINDOW = 1 << 14
"""Bytes before and after the first that is no UTF-8, by which the encoding is guessed; even, for UTF-16."""


_NOTED: ContextVar[set[Path] | None] = ContextVar("noted", default=None)


@contextlib.contextmanager
def noting() -> Iterator[set[Path]]:
    """Yield a set that takes up the path of every file that is read inside, so that the rest can be named."""
    noted = set[Path]()
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def note(path: Path, used: bool = True) -> None:
    """Say that a file was read by other means than :func:`read_text`, or was read and is of no use."""
    noted = _NOTED.get()
    if noted is not None:
        (noted.add if used else noted.discard)(path)


def read_text(path: Path, error: type[FullconvError] = DataError) -> str:
    """All of a text file, without its byte order mark, in Unicode's composed form (NFC).

    macOS writes accents as letters of their own (NFD); composed, equal names are equal whatever wrote them.

    Raises:
        FullconvError: of the kind ``error``: it cannot be read, or is neither UTF-8 nor of the encoding that its byte
            order mark names; the line says which encoding it is likely to be.
    """
    note(path)
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from problem
    encoding = _marked(content) or "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as problem:
        if encoding != "utf-8":
            raise error(f"{path}: begins as {encoding}, but is damaged; save it as UTF-8") from problem
        likely = _likely(content[max(0, problem.start - WINDOW) : problem.start + WINDOW])
        first, last = content.rfind(b"\n", 0, problem.start) + 1, content.find(b"\n", problem.start)
        line = content[first : last if last >= 0 else None][:200].decode(likely, "replace").strip()
        number = content.count(b"\n", 0, problem.start) + 1
        raise error(
            f"{path}: not UTF-8 (line {number}); it is likely {likely}, in which the line is {line[:60]!r}: "
            "save it as UTF-8"
        ) from problem
    if "\0" in text:
        raise error(
            f"{path}: holds zero bytes; it is likely {_likely(content)} without a byte order mark: save it as UTF-8"
        )
    return unicodedata.normalize("NFC", text)


def parse_json(text: str) -> Any:
    """``json.loads``.

    Raises:
        ValueError: not JSON, or nested so deeply that it cannot be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def head_of(path: Path) -> str:
    """About the first 4,096 bytes as text, without white space before it; for a look at what a file may be."""
    with path.open("rb") as file:
        content = file.read(HEAD)
    return content.decode(_marked(content) or "utf-8", "ignore").lstrip()


def read_csv(path: Path, error: type[FullconvError] = DataError) -> list[list[str]]:
    """The rows of a CSV file that are not empty, cells stripped.

    Raises:
        FullconvError: of the kind ``error``: not CSV, or not text (:func:`read_text`).
    """
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(read_text(path, error))) if row]
    except csv.Error as problem:
        raise error(f"{path}: not CSV ({problem}); save it so") from problem


def _marked(content: bytes) -> str:
    return next((encoding for mark, encoding in MARKS if content.startswith(mark)), "")


def _likely(content: bytes) -> str:
    """The encoding that bytes which are no UTF-8 are likely in.

    Zero bytes are UTF-16's. Single bytes above 127 between letters are accents, as in Western Europe's cp1252; rows of
    them are another script: Cyrillic where all lie in its letters, else Chinese or Japanese where these decode.
    """
    if b"\0" in content:
        return "utf-16-le" if content[1::2].count(0) >= content[::2].count(0) else "utf-16-be"
    high = [byte > 127 for byte in content]
    rows = sum(one and other for one, other in itertools.pairwise(high))
    letters = sum(byte >= 0xC0 for byte in content)
    if rows < sum(high) / 2 <= letters:
        return "cp1252"
    if letters + content.count(0xA8) + content.count(0xB8) == sum(high):
        return "cp1251"
    for encoding in ("shift_jis", "gb18030"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "cp1252"
