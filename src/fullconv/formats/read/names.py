"""Names that mean one file: composed or decomposed accents, and another case where no file has the exact name."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS writes the decomposed one, other systems the composed one."""
    return unicodedata.normalize("NFC", name)


class Names(Generic[T]):
    """Values by name: accents in either form; another case where no name is equal, and one only is equal but for it."""

    def __init__(self, entries: Iterable[tuple[str, T]] = ()) -> None:
        self.exact: dict[str, T] = {}
        self._folded: dict[str, list[str]] | None = None
        for name, value in entries:
            self.exact[composed(name)] = value

    def get(self, name: str) -> T | None:
        """The value, or None where no name or several may be meant."""
        found = self.exact.get(composed(name))
        return self.folded(name) if found is None else found

    def folded(self, name: str) -> T | None:
        """The value of the only name that is equal but for its case."""
        if self._folded is None:
            self._folded = {}
            for known in self.exact:
                self._folded.setdefault(known.casefold(), []).append(known)
        same = self._folded.get(composed(name).casefold(), [])
        return self.exact[same[0]] if len(same) == 1 else None


def spot(path: Path) -> Path | None:
    """The file or folder that a path from a list means, as the disk spells it; None where there is none.

    ``path`` itself where it is there, else what :class:`Names` finds in its folder.
    """
    if path.exists():
        return path
    if path.parent == path:
        return None
    folder = spot(path.parent)
    if folder is None or not folder.is_dir():
        return None
    return _entries(folder, folder.stat().st_mtime_ns).get(path.name)


@lru_cache(maxsize=256)
def _entries(folder: Path, changed: int) -> Names[Path]:
    return Names((name, folder / name) for name in os.listdir(folder))
