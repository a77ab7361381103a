"""Writing files so that nothing half-written stays behind: write beside, then rename; where kept files lie."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fullconv.errors import FullconvError
from fullconv.text import read_text

ORIGIN = "origin.txt"
"""In a folder of fetched files: the address that they come from."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes the place of ``path`` in one step.

    The folder is made if missing. On any error the temporary file is removed and ``path`` stays as it was.

    Raises:
        FullconvError: the disk is full or the folder cannot be written.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the system takes the umask off
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise FullconvError(f"{target}: the disk is full; free some space and run again") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise FullconvError(f"{target}: cannot be written ({error.strerror}); choose another --out") from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it becomes ``path``, which appears whole or not at all.

    Raises:
        FullconvError: the folder above cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        raise FullconvError(f"{target.parent}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        yield partial
        partial.chmod(0o755)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def leads_outside(place: str) -> bool:
    """Whether a path in a file or archive is absolute (also as Windows has it), or climbs out by ``..``."""
    path = PurePosixPath(place.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or place[1:2] == ":"


MOST_NODES = 200_000
"""Values in a YAML file, those that an alias repeats included."""
LONG_TEXT = 128
"""Letters that count as one more value."""
DEEPEST = 50
"""Levels of a YAML file."""


def read_yaml(
    path: Path, error: type[FullconvError], expected: str, most: int = MOST_NODES, deepest: int = DEEPEST
) -> dict[str, Any]:
    """A YAML file of named fields.

    Raises:
        FullconvError: of the kind ``error``: no such file, not YAML, more than ``most`` values or ``deepest`` levels,
            not text (:func:`fullconv.text.read_text`), or something else than named fields.
    """
    if not path.is_file():
        raise error(f"{path}: no such file; give a YAML file of {expected}")
    try:
        content = read_value(read_text(path, error), most, deepest)
    except yaml.YAMLError as problem:
        raise error(f"{path}: not valid YAML ({' '.join(str(problem).split())})") from problem
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise error(f"{path}: expected {expected}, found {str(content)[:60]!r}")
    return content


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers (in YAML 1.1, ``1e-3`` is text); counts what aliases repeat before anything is built."""

    most, deepest = MOST_NODES, DEEPEST

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.nodes = self.depth = 0
        self.sizes: dict[str, int] = {}

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level > self.deepest:  # here, since the time to find tokens grows with the square of the levels
            raise yaml.YAMLError(f"more than {self.deepest} levels")
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        before, repeats = self.nodes, isinstance(event, yaml.AliasEvent)
        if repeats and event.anchor not in self.sizes:
            raise yaml.YAMLError(f"the alias *{event.anchor} names nothing before it, or what it is in itself")
        self.nodes += self.sizes[event.anchor] if repeats else 1 + len(getattr(event, "value", "")) // LONG_TEXT
        self.depth += 1
        if self.nodes > self.most or self.depth > self.deepest:
            raise yaml.YAMLError(f"more than {self.most} values (aliases expanded), or {self.deepest} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if event.anchor and not repeats:
            self.sizes[event.anchor] = self.nodes - before
        return node


_Loader.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_value(text: str, most: int = MOST_NODES, deepest: int = DEEPEST) -> Any:
    """Text as YAML, safely: at most ``most`` values, however often aliases repeat them, and ``deepest`` levels.

    Raises:
        yaml.YAMLError: it is none, or more.
    """
    loader = _Loader(text)
    loader.most, loader.deepest = most, deepest
    try:
        return loader.get_single_data()
    except (ValueError, OverflowError, TypeError, RecursionError) as error:  # 99999-99-99, or a mapping as a key
        raise yaml.YAMLError(str(error)[:200]) from error
    finally:
        loader.dispose()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def cache_folder() -> Path:
    """Where what is made once is kept: ``$FULLCONV_CACHE``, else ``~/.cache/fullconv``."""
    return Path(os.environ.get("FULLCONV_CACHE") or Path.home() / ".cache" / "fullconv")
