"""What lies in a data set's folder and is not used: counted and named, so that nothing is dropped without a word."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.errors import first_few, plural
from fullconv.formats.read.base import files_below

MOST_PLACES = 6
HARMLESS = re.compile(
    r"(readme|licen[cs]e|copying|copyright|changelog|citation|authors|notice)(\..*)?|.*\.(md|rst|pdf|html?|pyc?|cache|lock|"
    r"log|sha256|md5|url|ini)|thumbs\.db|dataset\.yaml|fixed\.txt|origin\.txt|checksums?(\..*)?",
    re.IGNORECASE,
)
"""Files that hold no labels and no images, whatever the layout; hidden ones are not looked at."""
HARMLESS_FOLDERS = {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "lost+found"}


def leftovers(root: Path, items: Iterable[Item], read: Iterable[Path]) -> list[str]:
    """A line about the files below ``root`` that are neither an item's nor were read; none where there are none.

    Args:
        read: lists, tables and annotation files that were read to find the items.
    """
    used = {os.fspath(path) for path in read}
    for item in items:
        used.update(map(os.fspath, item.files))
    used |= {os.path.normpath(path) for path in used if ".." in path}
    places: dict[tuple[str, str], list[str]] = {}
    for folder, name in files_below(root):
        if os.path.join(folder, name) in used or HARMLESS.fullmatch(name):
            continue
        below = os.path.relpath(folder, root)
        if not HARMLESS_FOLDERS & {part.casefold() for part in Path(below).parts}:
            places.setdefault((below, os.path.splitext(name)[1].lower()), []).append(name)
    if not places:
        return []
    if len(places) > MOST_PLACES:  # of a folder per city, or per day: the first of their path
        wide: dict[tuple[str, str], list[str]] = {}
        for (where, kind), names in places.items():
            wide.setdefault((Path(where).parts[0] if where != "." else where, kind), []).extend(names)
        places = wide
    order = sorted(places.items(), key=lambda place: (place[0][0] != ".", place[0][0].count(os.sep), place[0]))
    said = [
        f"{len(names)} {kind or 'files without a suffix'}{'' if where == '.' else f' in {Path(where).as_posix()}'} "
        f"({first_few(sorted(names))})"
        for (where, kind), names in order[:MOST_PLACES]
    ]
    if len(order) > MOST_PLACES:
        rest = sum(len(names) for _, names in order[MOST_PLACES:])
        said.append(f"{plural(rest, 'file')} in {plural(len(order) - MOST_PLACES, 'place')} more")
    return [f"not used: {'; '.join(said)}"]
