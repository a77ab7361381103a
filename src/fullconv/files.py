"""Writing files so that nothing half-written stays behind: write beside, then rename."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fullconv.errors import FullconvError
from fullconv.text import read_text


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
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)
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


def leads_outside(place: str) -> bool:
    """Whether a path in a file or archive is absolute (also as Windows has it), or climbs out by ``..``."""
    path = PurePosixPath(place.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or place[1:2] == ":"


def read_yaml(path: Path, error: type[FullconvError], expected: str) -> dict[str, Any]:
    """A YAML file of named fields.

    Raises:
        FullconvError: of the kind ``error``: no such file, not YAML, not text (:func:`fullconv.text.read_text`), or
            something else than named fields.
    """
    if not path.is_file():
        raise error(f"{path}: no such file; give a YAML file of {expected}")
    try:
        content = read_value(read_text(path, error))
    except yaml.YAMLError as problem:
        raise error(f"{path}: not valid YAML ({' '.join(str(problem).split())})") from problem
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise error(f"{path}: expected {expected}, found {str(content)[:60]!r}")
    return content


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: in YAML 1.1, ``1e-3`` is text."""


_Loader.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_value(text: str) -> Any:
    """Text as YAML, safely.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, _Loader)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _read_umask()  # once, at import: it can only be read by setting it, which other threads would see
