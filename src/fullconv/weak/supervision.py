"""What each training image teaches with: its mask, or less (boxes, tags, scribbles, points), and the labels of that.

A network learns from label maps whatever was annotated: :class:`Supervised` is an item's annotation seen as labels of
one kind, void wherever that kind says nothing. What a label map cannot hold (tags; boxes as boxes) it gives beside.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from fullconv.data.annotations import Annotation
from fullconv.data.dataset import AnnotationSource, DatasetSpec, ImageSource, Item
from fullconv.spec import ClassSet
from fullconv.weak.drawn import Box, boxes_of, tags_of

Kind = Literal["masks", "boxes", "tags", "scribbles", "points"]
"""What one image teaches with."""
Labels = Literal["masks", "boxes", "tags", "scribbles", "points", "auto"]
"""What the images of a data set shall teach with; ``auto``: each with what it has."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Rules:
    """How annotations become labels; one for a data set.

    Attributes:
        classes: of the label maps.
    """

    classes: ClassSet


@dataclass(frozen=True)
class Supervised:
    """An item's annotation as supervision of one kind.

    Attributes:
        base: the annotation as it was read.
        image: what it is of.
        kind: what it teaches with.
        own: the annotation is of this kind itself; else what this kind would have been is derived from its masks.
        rules: of the data set.
    """

    base: AnnotationSource
    image: ImageSource
    kind: Kind
    own: bool
    rules: Rules

    @property
    def where(self) -> Path | str:
        return self.base.where

    @property
    def files(self) -> tuple[Path, ...]:
        return self.base.files

    @property
    def has_label_map(self) -> bool:
        return True

    def stored_as(self) -> str:
        return self.base.stored_as()

    def annotations(self) -> tuple[Annotation, ...]:
        return self.base.annotations()

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """The labels to learn from, ``[height, width]``: void where nothing is said."""
        if self.kind == "tags":
            return np.full(self.image.size(), ignore_index, np.uint8 if ignore_index <= 255 else np.int32)
        labels = self.mask()
        if self.kind == "boxes":
            return filled(self.boxes(), labels.shape, self.rules.classes)
        return labels

    def mask(self) -> np.ndarray:
        """The label map of the annotation itself."""
        return self.base.label_map(len(self.rules.classes), self.rules.classes.ignore_index)

    def tags(self) -> frozenset[int]:
        """The classes that the image shows."""
        return tags_of(self.mask(), len(self.rules.classes))

    def boxes(self) -> tuple[Box, ...]:
        """Those of the image, within it."""
        return boxes_of(self.mask(), len(self.rules.classes), self.rules.classes.background)


def filled(boxes: Sequence[Box], size: tuple[int, ...], classes: ClassSet) -> np.ndarray:
    """Boxes as filled rectangles, smaller over larger; outside all is background, or void without such a class."""
    void = classes.ignore_index
    around = void if classes.background is None else classes.background
    labels = np.full(size, around, np.uint8 if void <= 255 else np.int32)
    for box in sorted(boxes, key=lambda box: -(box.right - box.left) * (box.bottom - box.top)):
        labels[box.top : box.bottom, box.left : box.right] = void if box.label < 0 else box.label
    return labels


@dataclass(frozen=True)
class Supervision:
    """A data set as it is learned from.

    Attributes:
        spec: with the annotations of its train items as supervision.
        kinds: of each train item, by its data set (of a mixture) and id.
        against: what val is scored against.
        lines: what a user should know: which kinds, how many, which rules.
        problems: what is wrong, in lines.
    """

    spec: DatasetSpec
    kinds: Mapping[tuple[int, str], Kind]
    against: str = "masks"
    lines: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def count(self, *kinds: Kind) -> int:
        """How many train images teach with these."""
        return sum(kind in kinds for kind in self.kinds.values())


def supervise(spec: DatasetSpec, labels: Labels) -> Supervision:
    """See the train items of a data set as supervision of the kind that is asked for."""
    rules = Rules(spec.classes)
    kind: Kind = "masks" if labels == "auto" else labels
    train = spec.splits.get("train", ())
    kinds: dict[tuple[int, str], Kind] = {(item.source, item.id): kind for item in train}
    if kind == "masks":
        return Supervision(spec, kinds)

    def seen(item: Item) -> Item:
        seen = Supervised(item.annotation, item.image, kind, False, rules)
        return dataclasses.replace(item, annotation=seen, whole=kind == "tags")

    splits = {**spec.splits, "train": [seen(item) for item in train]}
    counts = Counter(kinds.values())
    lines = [f"learns from {', '.join(f'{kind} of {n} images' for kind, n in counts.items())}, derived from the masks"]
    return Supervision(dataclasses.replace(spec, splits=splits), kinds, lines=tuple(lines))
