"""A dataset described by data: which files, which classes, how a mask file says which class a pixel is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fullconv.data.annotations import MASK_THEM, Annotation, in_words, kinds_of, no_mask
from fullconv.errors import DataError, plural
from fullconv.images.encoded import ImageFile
from fullconv.images.encoding import MaskEncoding
from fullconv.images.values import Pixels
from fullconv.spec import ClassSet, Values

VAL_FRACTION = 0.2


class ImageSource(Protocol):
    """Where an item's image comes from: a file, a member of a container, a scene that is drawn."""

    @property
    def where(self) -> Path | str:
        """What messages name."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        ...

    def file(self) -> ImageFile | None:
        """The encoded image; None where there is none: drawn, or decoded already."""
        ...

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """``channels`` channels, of other than 8-bit values by ``values``.

        It may be up to ``shrink`` (1, 2, 4, 8) times smaller, rounded up.

        Raises:
            DataError: it cannot be read.
        """
        ...

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        ...


class AnnotationSource(Protocol):
    """Where an item's annotation comes from: a mask file, outlines, a table, a member of a container, a scene."""

    @property
    def where(self) -> Path | str:
        """What messages name."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from; none where it is in memory."""
        ...

    @property
    def has_label_map(self) -> bool:
        """Whether there is anything that :meth:`label_map` could show: a mask file, masks, outlines."""
        ...

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it.

        Raises:
            DataError: they cannot be read, or there is no label map.
        """
        ...

    def annotations(self) -> tuple[Annotation, ...]:
        """What was annotated, each of its kind, on the image as it is shown; of a mask file what lies beside it."""
        ...

    def stored_as(self) -> str:
        """How the labels are stored, in words."""
        ...


@dataclass(frozen=True)
class AnnotationView:
    """An annotation seen otherwise: what it is read from and what it says of itself stay those of ``base``."""

    base: AnnotationSource

    @property
    def where(self) -> Path | str:
        return self.base.where

    @property
    def files(self) -> tuple[Path, ...]:
        return self.base.files

    @property
    def has_label_map(self) -> bool:
        return self.base.has_label_map

    def stored_as(self) -> str:
        return self.base.stored_as()

    def annotations(self) -> tuple[Annotation, ...]:
        return self.base.annotations()


@dataclass(frozen=True, repr=False)
class Item:
    """One image and its annotation.

    Attributes:
        id: its name in the data set.
        image, annotation: where they come from.
        source: which data set of a mixture it is from.
        block: which part of a container it lies in (a shard, a row group); those of one block are read one after the
            other.
        whole: whether a training crop has to show all of it, because what is known of it is known of it as a whole.
    """

    id: str
    image: ImageSource
    annotation: AnnotationSource
    source: int = 0
    block: int = -1
    whole: bool = False

    def __repr__(self) -> str:
        return f"Item({self.id}: {', '.join(map(str, dict.fromkeys(self.files))) or self.image.where})"

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from."""
        return (*self.image.files, *self.annotation.files)


@dataclass(frozen=True)
class DatasetSpec:
    """What :func:`fullconv.open_dataset` found.

    Attributes:
        name: the folder's name.
        root: where it lies.
        layout: what it was taken for: a page of docs/layouts, or ``shapes``.
        reasons: why it was taken for that, and every rule that was applied; one line each.
        classes: names, colours and ignored id of its label maps.
        encoding: how its mask files are read, for who describes them; each of them knows its own.
        splits: items per split, in a fixed order.
        channels: channels of its images.
        values: how other than 8-bit values become bytes, and what holds nothing; None for 8-bit images.
        declared: whether the classes were stated (by the layout or a file), not counted from the masks.
        labelled: of a mixture, per data set whether it labels each class; None otherwise.
        licence: terms of the public data set that comes in this layout; empty for none.
    """

    name: str
    root: Path
    layout: str
    reasons: tuple[str, ...]
    classes: ClassSet
    encoding: MaskEncoding
    splits: Mapping[str, Sequence[Item]]
    channels: int = 3
    declared: bool = True
    labelled: tuple[tuple[bool, ...], ...] | None = None
    licence: str = ""
    values: Values | None = None

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(items)} {split}" for split, items in self.splits.items())
        return f"DatasetSpec({self.name}: {self.layout}, {plural(len(self.classes), 'class')}, {counts})"

    @property
    def title(self) -> str:
        """Where it lies, its layout, and how many classes: what stands above :attr:`reasons`."""
        return f"{self.root}: {self.layout}, {plural(len(self.classes), 'class')}"

    def split(self, name: str) -> Sequence[Item]:
        """The items of one split.

        Raises:
            DataError: no such split, or an empty one.
        """
        if name not in self.splits:
            raise DataError(f"{self.root}: has no split {name!r}; there are {', '.join(self.splits)}")
        if not self.splits[name]:
            raise DataError(f"{self.root}: split {name!r} is empty; list at least one image in it")
        return self.splits[name]


def without_label_maps(spec: DatasetSpec, *splits: str) -> str:
    """A line about the images of these splits (by default of all) that have no label map, but boxes, lines, points or
    tags; empty where there are none.
    """
    every = [item for split in splits or spec.splits for item in spec.splits.get(split, ())]
    bare = [item for item in every if not item.annotation.has_label_map]
    if not bare:
        return ""
    counts = sum((kinds_of(item.annotation.annotations()) for item in bare), Counter())
    return f"{spec.root}: {len(bare)} of {len(every)} images have no mask: {no_mask(in_words(counts))}"


def refuse_without_label_maps(spec: DatasetSpec, *splits: str) -> None:
    """Refuse what only label maps are good for, in these splits (by default in all).

    Raises:
        DataError: as :func:`without_label_maps` says.
    """
    if line := without_label_maps(spec, *splits):
        raise DataError(f"{line}; {MASK_THEM} (fullconv check describes what is there)")


def split_by_hash(items: Sequence[Item], seed: int, val_fraction: float) -> dict[str, Sequence[Item]]:
    """Train and val by a rule that does not depend on the order or on other files being added.

    The ``round(val_fraction * n)`` items (at least one, at most ``n - 1``) with the smallest SHA-256 of
    ``"seed:id"`` are val, the others train.
    """
    if len(items) < 2:
        return {"train": items, "val": items}
    count = min(max(1, round(val_fraction * len(items))), len(items) - 1)
    order = [hashlib.sha256(f"{seed}:{item.id}".encode()).hexdigest() for item in items]
    chosen = set(sorted(range(len(items)), key=order.__getitem__)[:count])
    return {
        "train": [item for i, item in enumerate(items) if i not in chosen],
        "val": [item for i, item in enumerate(items) if i in chosen],
    }
