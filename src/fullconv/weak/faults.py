"""What is wrong with annotations that are less than masks: found before training starts, and said in a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from fullconv.data.annotations import IGNORED
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.errors import first_few
from fullconv.weak.annotated import Sort, boxes_in, strokes_in, tags_in
from fullconv.weak.supervised import Supervised

FaultKind = Literal["unannotated", "boxes", "strokes", "tags", "unmarked"]


class Fault(NamedTuple):
    """What is wrong, in a line, and what to do about it."""

    kind: FaultKind
    text: str
    fix: str

    @property
    def line(self) -> str:
        """All of it."""
        return f"{self.text}; {self.fix}"


_FIX = "correct or remove them"
_CLASS = "add the class, or correct its name"
WORDS: dict[tuple[str, Sort], tuple[FaultKind, str, str]] = {
    ("boxes", "outside"): ("boxes", "boxes outside of their image, left out", _FIX),
    ("boxes", "cut"): (
        "boxes",
        "boxes that reach beyond their image, cut off at its border",
        "are they of this image?",
    ),
    ("boxes", "empty"): ("boxes", "boxes that are empty or inverted (end before they begin), left out", _FIX),
    ("boxes", "classless"): ("boxes", "boxes of no class, within which nothing is learned", _CLASS),
    ("strokes", "outside"): ("strokes", "strokes outside of their image, left out", _FIX),
    ("strokes", "classless"): ("strokes", "strokes of no class, left out", _CLASS),
    ("strokes", "conflict"): (
        "strokes",
        "images where strokes of different classes lie over each other, which teach nothing there",
        "erase one of them",
    ),
    ("tags", "classless"): ("tags", "tags of no class, left out", _CLASS),
}
"""For what is annotated, and what is wrong with it."""


class Look:
    """Looks through the items of a data set that teach with their own annotations, once, and keeps what is wrong."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, Sort], list[str]] = {}
        self.marked: Counter[int] = Counter()
        self.useless: list[str] = []
        self.complete = True

    def __call__(self, item: Item, train: bool) -> bool:
        """Look at an item; whether there is anything in it to learn from.

        Raises:
            DataError: its annotations cannot be read.
        """
        source = item.annotation
        if not isinstance(source, Supervised) or not source.own:
            self.complete &= not train  # masks are counted by a check
            return True
        marks = _marks(source, self.found)
        if train and marks is None:
            self.useless.append(item.id)
        elif train and marks is not None:
            self.marked.update(marks)
        return marks is not None

    def faults(self, spec: DatasetSpec, left_out: Sequence[Item], wanting: str) -> tuple[Fault, ...]:
        """What is wrong, in a line each.

        Args:
            spec: as it is learned from.
            left_out: train items that have nothing to teach with.
            wanting: what they have not, in words.
        """
        faults = []
        every = len(left_out) + len(self.useless) + len(spec.splits.get("train", ()))
        if left_out:
            ids = first_few([item.id for item in left_out])
            text = f"{spec.root}: {len(left_out)} of {every} train images have {wanting}, left out ({ids})"
            faults.append(Fault("unannotated", text, "annotate them; one that shows nothing of any class needs a mask"))
        for (what, sort), names in self.found.items():
            kind, text, fix = WORDS[what, sort]
            faults.append(Fault(kind, f"{spec.root}: {text}: {len(names)} ({first_few(names)})", fix))
        if self.useless:
            text = f"{len(self.useless)} of {every} train images have nothing else and are left out"
            faults.append(Fault("unannotated", f"{spec.root}: {text} ({first_few(self.useless)})", "annotate them"))
        return (*faults, *self._never_marked(spec))

    def _never_marked(self, spec: DatasetSpec) -> list[Fault]:
        """A line about the classes that no train image marks; nothing where some teach with masks."""
        train, classes = spec.splits.get("train", ()), spec.classes
        if not train or not self.complete:
            return []
        tags_alone = all(isinstance(one.annotation, Supervised) and one.annotation.kind == "tags" for one in train)
        implied = classes.background if tags_alone else None
        missing = [name for label, name in enumerate(classes.names) if not self.marked[label] and label != implied]
        if not missing:
            return []
        text = f"{spec.root}: never annotated in train, so never learned: {first_few(missing, 25)}"
        return [Fault("unmarked", text, "annotate some of each, or leave them out of the classes")]


def _marks(source: Supervised, found: dict[tuple[str, Sort], list[str]]) -> set[int] | None:
    """The classes that an item's annotations mark, None where there is nothing to learn from; faults into ``found``."""
    what = {"boxes": "boxes", "tags": "tags"}.get(source.kind, "strokes")

    def report(sort: Sort, name: str) -> None:
        found.setdefault((what, sort), []).append(f"{source.where}: {name}")

    annotations = source.annotations()
    if source.kind == "tags":
        return set(tags_in(annotations, report)) or None
    size, where = source.size(), str(source.where)
    if source.kind == "boxes":
        boxes = boxes_in(annotations, size, where, report)
        around = set() if source.background is None else {source.background}
        return around | {box.label for box in boxes if box.label != IGNORED} if boxes else None
    strokes = strokes_in(annotations, source.kind, size, where, report)
    return set(np.unique(strokes).tolist()) - {IGNORED} or None
