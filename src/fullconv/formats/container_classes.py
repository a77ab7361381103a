"""The classes of masks in containers: from a file beside them, else counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fullconv.data.sources import Enclosed
from fullconv.errors import DataError, plural
from fullconv.files import ORIGIN
from fullconv.formats.contents import Contents, contents_of
from fullconv.formats.description import Description
from fullconv.formats.mask_classes import classes_from_masks, in_their_colours
from fullconv.formats.problems import Problems
from fullconv.formats.survey import settle
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet
from fullconv.text import parse_json, read_text

MOST_MASKS, FIRST = 1000, 20
NAMES = "id2label.json"


def count_classes(
    root: Path, description: Description, masks: Sequence[Enclosed], reasons: list[str], problems: Problems
) -> tuple[ClassSet, MaskEncoding]:
    """From ``dataset.yaml``, ``id2label.json``, or counted from at most 1000 masks, evenly spaced."""
    given = description.class_set()
    encoding = description.encoding(given, problems)
    if given is not None:
        reasons.append("classes from dataset.yaml")
        inspected = _inspect(root, masks)
        return in_their_colours(given, inspected, encoding), settle(inspected, encoding, given, reasons, problems)
    names = dict[int, str]()
    if (root / NAMES).is_file():
        with problems.catching("classes"):
            names = _id2label(root / NAMES)
    if names:
        reasons.append(f"class names from {NAMES}")
        values = {} if list(names) == list(range(len(names))) else {value: i for i, value in enumerate(names)}
        if values:
            reasons.append("its ids are not 0, 1, 2, ...: they are numbered in their order")
        encoding, inspected = dataclasses.replace(encoding, values=values), _inspect(root, masks)
        classes = in_their_colours(ClassSet(tuple(names.values())), inspected, encoding)
        return classes, settle(inspected, encoding, classes, reasons, problems)
    inspected = list[Contents]()
    for mask in masks[:: -(-len(masks) // MOST_MASKS)]:
        with problems.catching("unreadable"):
            inspected.append(contents_of(mask.file()))
    classes, encoding = classes_from_masks(root, inspected, encoding, problems)
    reasons.append(
        f"class names are not given: {plural(len(classes), 'class')} counted from {len(inspected)} of {len(masks)} "
        f"masks, evenly spaced (largest id {len(classes) - 1})"
    )
    return classes, settle(inspected, encoding, classes, reasons, problems)


def _inspect(root: Path, masks: Sequence[Enclosed]) -> list[Contents]:
    """What the first masks hold: neighbours, which are read together; those that cannot be read are named later.

    Nothing is fetched for it: of shards that lie elsewhere it says nothing.
    """
    found = list[Contents]()
    for mask in masks[:FIRST] if not (root / ORIGIN).is_file() else ():
        with suppress(DataError):
            found.append(contents_of(mask.file()))
    return found


def _id2label(listing: Path) -> dict[int, str]:
    """Ids and names, in the order of the ids."""
    text = read_text(listing)
    try:
        content = {int(value): str(name) for value, name in parse_json(text).items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f'{listing}: expected {{"0": "name", "1": "name", ...}} ({error}); correct it') from error
    if not content or len(set(content.values())) < len(content) or min(content) < 0:
        raise DataError(f"{listing}: expected a different name for each id from 0 on; correct it")
    return dict(sorted(content.items()))
