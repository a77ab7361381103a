"""What the exports of annotation tools have in common: a class for the background, and subsets that are splits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from fullconv.data.annotations import IGNORED, in_words, kinds_of
from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import changed
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.read.base import SPLIT_NAMES
from fullconv.palette import is_background
from fullconv.spec import ClassSet, Colour

FARTHEST = 1e6
"""Largest coordinate in pixels: a rasteriser walks along every outline, however far it goes."""


def classes_of(
    labels: Sequence[str], colours: Sequence[Colour], description: Description, where: Path, reasons: list[str]
) -> tuple[ClassSet, int]:
    """The classes of an export's labels, and the id of what no region covers (or :data:`IGNORED`).

    A class ``background`` comes first, unless a label is so named: then that one is what no region covers. Classes
    that ``dataset.yaml`` names take the place of both; they must hold every label.

    Args:
        labels: the tool's labels in its order.
        colours: one per label, or none.
        where: the file that names the labels, for messages.
        reasons: the rule that was applied is added here.

    Raises:
        DataError: a label named twice, or one that ``dataset.yaml`` does not name.
    """
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise DataError(f"{where}: names the label {twice[0]!r} more than once; rename one of the two")
    if not labels:
        raise DataError(f"{where}: no labels found in it; label at least one region and export it again")
    classes = description.class_set()
    if classes is not None:
        strange = [label for label in labels if label not in classes.names]
        if strange:
            raise DataError(
                f"{where}: {plural(len(strange), 'label', 'is')} not among the classes of dataset.yaml "
                f"({first_few(strange)}); add them there"
            )
    elif any(is_background(label) for label in labels):
        classes = ClassSet(tuple(labels), tuple(colours))
    else:
        classes = ClassSet(("background", *labels), ((0, 0, 0), *colours) if colours else ())
        reasons.append("class 0 is background, which the tool does not name; the tool's labels follow in its order")
    background = next((index for index, name in enumerate(classes.names) if is_background(name)), IGNORED)
    reasons.append(
        "what no region covers is unlabelled: dataset.yaml names no background"
        if background == IGNORED
        else f"what no region covers is {classes.names[background]}"
    )
    return classes, background


def marked(splits: Mapping[str, Sequence[Item]], reasons: list[str]) -> dict[str, Sequence[Item]]:
    """The same items; where none of them has anything that a label map shows, they say that they have none.

    Images without any annotation are all of what nothing covers, as long as no other has boxes, lines, points or tags
    alone.
    """
    sources = [item.annotation for items in splits.values() for item in items]
    found = [one for source in sources if isinstance(source, Annotations) for one in source.items]
    if not found or any(one.drawn for one in found):
        return dict(splits)
    reasons.append(f"no masks: {in_words(kinds_of(found))}, of which no label map can be made")

    def bare(item: Item) -> Item:
        source = item.annotation
        assert isinstance(source, Annotations)
        return replace(item, annotation=replace(source, has_label_map=False))

    return changed(splits, bare)


def within_reach(points: np.ndarray) -> np.ndarray:
    """The same points.

    Raises:
        ValueError: one that is not finite, or so far away that it is a mistake.
    """
    if not (np.abs(points) <= FARTHEST).all():
        raise ValueError(f"a coordinate that is not a number, or beyond {FARTHEST:g} pixels")
    return points


def split_of(name: str) -> str | None:
    """The split that a subset, a list or a folder of this name stands for."""
    return next((split for split, names in SPLIT_NAMES if name.lower() in names), None)


def split_in_words(name: str) -> str:
    """The split that a word of a name stands for (``train_tasks``, ``instances_Validation``); the last, or empty."""
    words = re.findall(r"[a-z]+", name.casefold())
    return next((split for word in reversed(words) if (split := split_of(word)) is not None), "")


def by_subset(subsets: Mapping[str, Sequence[Item]], reasons: list[str]) -> dict[str, Sequence[Item]]:
    """Splits from named subsets.

    Subsets named like a split are that split. The others (``default``, no name) are train where none is named so, and
    else left out, which is said.
    """
    splits: dict[str, list[Item]] = {}
    others: dict[str, Sequence[Item]] = {}
    for name, items in subsets.items():
        split = split_of(name)
        if split is None:
            others[name] = items
        else:
            splits.setdefault(split, []).extend(items)
    rest = [item for items in others.values() for item in items]
    if not splits:
        return {"": rest}
    named = ", ".join(name or "no name" for name in others)
    if rest and "train" in splits:
        reasons.append(f"{plural(len(rest), f'image of other subsets ({named})', 'is')} left out: train is named")
    elif rest:
        held = {item.image for items in splits.values() for item in items}
        splits["train"] = [item for item in rest if item.image not in held]
        gone = len(rest) - len(splits["train"])
        less = f", less {gone} that are in a named split" if gone else ""
        reasons.append(f"no subset is named train: the images of the others ({named}) are{less}")
    return dict(splits)


def inside(name: str) -> PurePosixPath:
    """A path from a file, without what would lead out of the data's folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return PurePosixPath(*[part for part in parts if part not in ("..", "/") and not part.endswith(":")])
