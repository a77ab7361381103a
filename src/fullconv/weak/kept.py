"""Label maps that take long to derive, derived once: ``derived`` in the cache folder has a small file for each."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from fullconv.data.cache import digest
from fullconv.data.dataset import Item
from fullconv.errors import FullconvError
from fullconv.files import cache_folder, replacing

VERSION = 3
"""Of the rules by which labels are derived; raised whenever one changes."""


def kept(item: Item, rule: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What ``make`` gives, kept under the item's sources, its files' sizes and times of change, and the rule.

    Items without files (``shapes``) are derived faster than looked up. A file that cannot be read or written is done
    without.

    Args:
        item: what the labels are of; its name counts too.
        rule: by which they are derived, with its settings; picklable.
    """
    if not item.files:
        return make()
    name = digest(item, (VERSION, rule))
    path = cache_folder() / "derived" / name[:2] / name
    with suppress(OSError, zlib.error, ValueError):
        labels: np.ndarray = np.load(io.BytesIO(zlib.decompress(path.read_bytes())), allow_pickle=False)
        return labels
    labels, content = make(), io.BytesIO()
    np.save(content, labels, allow_pickle=False)
    with suppress(OSError, FullconvError), replacing(path) as temporary:
        temporary.write_bytes(zlib.compress(content.getvalue(), 1))
    return labels
