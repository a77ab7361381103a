"""The first item of a folder, and an outline."""

from __future__ import annotations

import pickle
from pathlib import Path

from fullconv.data.annotations import Annotation
from fullconv.formats.open import open_dataset

SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


def first(root: Path) -> tuple[object, tuple[Annotation, ...], tuple[str, ...]]:
    """Source, annotations and class names of image ``a``, out of a pickle as a reading process has them."""
    spec = open_dataset(root)
    item = next(item for items in spec.splits.values() for item in items if item.id == "a")
    source = pickle.loads(pickle.dumps(item)).annotation
    return source, source.annotations(), spec.classes.names
