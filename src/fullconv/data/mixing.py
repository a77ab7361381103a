"""Several data sets as one: classes are joined by name, and each image knows which of them its data set labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.annotations import IGNORED, Annotation
from fullconv.data.dataset import AnnotationSource, DatasetSpec, Item
from fullconv.data.instances import Instance, KeepsInstances, keeps_instances
from fullconv.data.values import join_values
from fullconv.errors import DataError, first_few, plural
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet


@dataclass(frozen=True)
class Relabelled:
    """An annotation whose ids are turned into those of a mixture.

    Attributes:
        annotation: with the ids of its own data set, which has ``own_classes`` classes and void ``own_ignore``.
        table: the new id of each class, of ``new_classes``; void, which is no smaller, for none.
    """

    annotation: AnnotationSource
    own_classes: int
    own_ignore: int
    table: tuple[int, ...]
    new_classes: int

    @property
    def where(self) -> Path | str:
        return self.annotation.where

    @property
    def files(self) -> tuple[Path, ...]:
        return self.annotation.files

    @property
    def has_label_map(self) -> bool:
        return self.annotation.has_label_map

    def stored_as(self) -> str:
        return self.annotation.stored_as()

    def annotations(self) -> tuple[Annotation, ...]:
        """Of the classes of the mixture; others are of none."""
        return tuple(dataclasses.replace(item, label=self._new(item.label)) for item in self.annotation.annotations())

    @property
    def has_instances(self) -> bool:
        return keeps_instances(self.annotation)

    def instances(self) -> tuple[Instance, ...]:
        """Of the classes of the mixture; others are of none."""
        assert isinstance(self.annotation, KeepsInstances)
        return tuple(dataclasses.replace(one, label=self._new(one.label)) for one in self.annotation.instances())

    def _new(self, label: int) -> int:
        """The new id of a class, or that there is none."""
        place = IGNORED if label < 0 else self.table[label]
        return place if place < self.new_classes else IGNORED

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]`` of the mixture."""
        own = self.annotation.label_map(self.own_classes, self.own_ignore)
        table = np.full(self.own_ignore + 1, ignore_index, np.int32)
        table[: self.own_classes] = self.table
        return table[own].astype(np.uint8 if ignore_index <= 255 else np.int32)


def mix(specs: Sequence[DatasetSpec]) -> DatasetSpec:
    """One data set of several.

    Classes of the same name (whatever its case) are one; ids follow the order in which the names are first met. A pixel
    that a data set calls background may show what only another labels: ``labelled`` says which classes each data set
    knows, and neither loss nor scores ask an image about the others.

    Raises:
        DataError: other numbers of channels, or a split that none has.
    """
    channels = {spec.channels for spec in specs}
    if len(channels) > 1:
        raise DataError(
            f"data sets of {' and '.join(map(str, sorted(channels)))} channels cannot be mixed; convert one"
        )
    for spec in specs:
        folded = [name.casefold() for name in spec.classes.names]
        twice = [name for name in spec.classes.names if folded.count(name.casefold()) > 1]
        if twice:
            raise DataError(
                f"{spec.root}: classes {first_few(twice)} differ in case only, which joins them; rename one"
            )
    names: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for spec in specs:
        for name, colour in zip(spec.classes.names, spec.classes.palette, strict=True):
            names.setdefault(name.casefold(), (name, colour))
    order = list(names)
    palette = [colour for _, colour in names.values()]
    if len(set(palette)) < len(palette):  # two data sets chose one colour for different classes
        palette = []
    classes = ClassSet(tuple(name for name, _ in names.values()), tuple(palette))
    labelled, splits, reasons = list[tuple[bool, ...]](), dict[str, list[Item]](), []
    for spec in specs:
        table = tuple(order.index(name.casefold()) for name in spec.classes.names)
        first = len(labelled)
        labelled += _labelled(spec, table, len(order))
        reasons.append(f"{spec.root}: {spec.layout}, {len(table)} of {len(order)} classes")
        reasons += [f"  {reason}" for reason in spec.reasons]
        for split, items in spec.splits.items():
            splits.setdefault(split, []).extend(
                relabelled(item, first + item.source, spec, table, len(order), f"{first + item.source}/{item.id}")
                for item in items
            )
    every = [name for spec in specs for name in spec.classes.names]
    shared = [
        "/".join(dict.fromkeys(name for name in every if name.casefold() == folded))
        for folded in order
        if sum(name.casefold() == folded for name in every) > 1
    ]
    said = f"in common: {first_few(shared, 20)}" if shared else "none in common"
    reasons.append(f"mixed by name: {plural(len(order), 'class')}, {said}")
    name = "+".join(spec.name for spec in specs)
    mixed = DatasetSpec(
        name, Path(name), "mixed", tuple(reasons), classes, MaskEncoding(), splits, channels.pop(),
        labelled=tuple(labelled), licence="; ".join(dict.fromkeys(spec.licence for spec in specs if spec.licence)),
    )  # fmt: skip
    return join_values(specs, mixed)


def renamed(spec: DatasetSpec, classes: ClassSet) -> DatasetSpec | None:
    """The data set with its classes found by name among ``classes``; None where one of them is not there.

    Of the others its images say nothing: neither loss nor scores ask about them.
    """
    order = [name.casefold() for name in classes.names]
    if not {name.casefold() for name in spec.classes.names} <= set(order):
        return None
    table = tuple(order.index(name.casefold()) for name in spec.classes.names)
    splits = {
        split: [relabelled(item, item.source, spec, table, len(order), item.id) for item in items]
        for split, items in spec.splits.items()
    }
    labelled = _labelled(spec, table, len(order))
    return dataclasses.replace(
        spec, classes=classes, encoding=MaskEncoding(), splits=splits, declared=True, labelled=labelled
    )


def partly_labelled(spec: DatasetSpec, beginnings: Mapping[str, Sequence[str]]) -> DatasetSpec:
    """The data set, where images of some names are labelled with some of its classes only.

    Args:
        spec: a data set that labels every class in every image.
        beginnings: beginning of an image's id -> the classes labelled in it; of several that fit, the longest is
            meant. Images that none fits are labelled with all classes.

    Raises:
        DataError: a class that does not exist, or a beginning that no image has.
    """
    ids = {name: index for index, name in enumerate(spec.classes.names)}
    for names in beginnings.values():
        strange = [name for name in names if name not in ids]
        if strange or not names:
            wrong = f"names class {strange[0]!r}, which classes does not" if strange else "names no class for some"
            raise DataError(f"{spec.root}: labelled in dataset.yaml {wrong}; give names of its classes")
    ordered = sorted(beginnings, key=len, reverse=True)
    every = (True,) * len(ids)
    rows = [tuple(name in beginnings[start] for name in ids) for start in ordered] + [every]

    def row(item: Item) -> int:
        return next((number for number, start in enumerate(ordered) if item.id.startswith(start)), len(ordered))

    splits = {
        split: [dataclasses.replace(item, source=row(item)) for item in items] for split, items in spec.splits.items()
    }
    used = {item.source for items in splits.values() for item in items}
    unused = [start for number, start in enumerate(ordered) if number not in used]
    if unused:
        raise DataError(
            f"{spec.root}: labelled in dataset.yaml names images that begin with {unused[0]!r}, but none does; "
            f"the first is {next(item.id for items in splits.values() for item in items)!r}"
        )
    reasons = [f"images {start}*: only {first_few(beginnings[start], 25)} labelled" for start in beginnings]
    return dataclasses.replace(spec, splits=splits, labelled=tuple(rows), reasons=(*spec.reasons, *reasons))


def _labelled(spec: DatasetSpec, table: Sequence[int], count: int) -> tuple[tuple[bool, ...], ...]:
    """Which of ``count`` classes each part of a data set labels; ``table`` holds the place of each of its own."""
    own = spec.labelled or ((True,) * len(table),)
    known = [{place for place, is_labelled in zip(table, row, strict=True) if is_labelled} for row in own]
    return tuple(tuple(index in places for index in range(count)) for places in known)


def relabelled(item: Item, source: int, spec: DatasetSpec, table: tuple[int, ...], count: int, name: str) -> Item:
    """An item of ``spec`` whose class ``i`` becomes ``table[i]`` of ``count``, as ``name`` of part ``source``."""
    annotation = Relabelled(item.annotation, len(spec.classes), spec.classes.ignore_index, table, count)
    return dataclasses.replace(item, id=name, annotation=annotation, source=source)
