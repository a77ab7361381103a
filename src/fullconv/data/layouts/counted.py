"""The classes of masks in containers: from a file beside them, else counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fullconv.data.decode import read_raw_mask
from fullconv.data.description import Description
from fullconv.data.encoded import Place
from fullconv.data.spec import MaskEncoding
from fullconv.errors import DataError
from fullconv.spec import ClassSet

COUNTED = 1000
NAMES = "id2label.json"


def count_classes(
    root: Path, description: Description, masks: Sequence[Place], reasons: list[str]
) -> tuple[ClassSet, MaskEncoding]:
    """From ``dataset.yaml``, ``id2label.json``, or counted from at most 1000 masks, evenly spaced."""
    given = description.class_set()
    encoding = description.encoding(given)
    if given is not None:
        reasons.append("classes from dataset.yaml")
        return given, encoding
    listing = root / NAMES
    if listing.is_file():
        names = _id2label(listing)
        reasons.append(f"class names from {listing.name}")
        values = {} if list(names) == list(range(len(names))) else {value: i for i, value in enumerate(names)}
        if values:
            reasons.append("its ids are not 0, 1, 2, ...: they are numbered in their order")
        return ClassSet(tuple(names.values())), MaskEncoding(values, {}, encoding.void_values, encoding.void_colours)
    looked = masks[:: -(-len(masks) // COUNTED)]
    seen = set().union(*(_values(mask) for mask in looked))
    void = set(encoding.void_values) if encoding.void_values is not None else {65535 if max(seen) > 255 else 255}
    real = seen - void
    if seen == {0, 255} and encoding.void_values is None:
        raise DataError(
            f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled? Write one of these lines into "
            f"{root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' (a class), or "
            "'ignore: [255]' (unlabelled)"
        )
    if not real:
        raise DataError(f"{root}: every pixel of {len(looked)} masks is void; name the classes in dataset.yaml")
    largest = max(real)
    if largest > 20 and len(real) < largest / 2:
        raise DataError(
            f"{root}: the masks hold {len(real)} different ids up to {largest}; are these classes, or instances? "
            f"Name the classes in {NAMES} or dataset.yaml"
        )
    reasons.append(
        f"class names are not given: {largest + 1} classes counted from {len(looked)} of {len(masks)} masks, "
        f"evenly spaced (largest id {largest})"
    )
    return ClassSet(tuple(f"class_{index}" for index in range(largest + 1))), encoding


def _id2label(listing: Path) -> dict[int, str]:
    """Ids and names, in the order of the ids."""
    try:
        content = {int(value): str(name) for value, name in json.loads(listing.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f'{listing}: expected {{"0": "name", "1": "name", ...}} ({error}); correct it') from error
    if not content or len(set(content.values())) < len(content) or min(content) < 0:
        raise DataError(f"{listing}: expected a different name for each id from 0 on; correct it")
    return dict(sorted(content.items()))


def _values(mask: Place) -> set[int]:
    file = mask.file()
    raw = read_raw_mask(file)
    if raw.ndim == 3:
        if (raw != raw[..., :1]).any():
            raise DataError(
                f"{file}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
                "(classes: {road: [128, 64, 128], ...})"
            )
        raw = raw[..., 0]
    return {int(value) for value in np.unique(raw)}
