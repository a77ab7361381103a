"""What is wrong with annotations that are less than masks: found before training starts, and said in a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

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


def faults_of(spec: DatasetSpec, left_out: Sequence[Item], wanting: str) -> list[Fault]:
    """What is wrong with the annotations of the train and val items of a data set, as they are learned from.

    Args:
        left_out: train items that have nothing to teach with.
        wanting: what they have not, in words.

    Raises:
        DataError: annotations cannot be read.
    """
    faults = []
    if left_out:
        every = len(left_out) + len(spec.splits["train"])
        ids = first_few([item.id for item in left_out])
        text = f"{spec.root}: {len(left_out)} of {every} train images have {wanting}, left out ({ids})"
        faults.append(Fault("unannotated", text, "annotate them; one that shows nothing of any class needs a mask"))
    found: dict[tuple[str, Sort], list[str]] = {}
    marked: Counter[int] = Counter()
    for split in ("train", "val"):
        for item in spec.splits.get(split, ()):
            source = item.annotation
            if isinstance(source, Supervised) and source.own:
                labels = _look(source, found)
                marked.update(labels if split == "train" else ())
    for (what, sort), names in found.items():
        kind, text, fix = WORDS[what, sort]
        faults.append(Fault(kind, f"{spec.root}: {text}: {len(names)} ({first_few(names)})", fix))
    return [*faults, *_never_marked(spec, marked)]


def _look(source: Supervised, found: dict[tuple[str, Sort], list[str]]) -> Iterable[int]:
    """Read one item's annotations; the classes that they mark, and what is wrong in ``found``."""
    what = {"boxes": "boxes", "tags": "tags"}.get(source.kind, "strokes")

    def report(sort: Sort, name: str) -> None:
        found.setdefault((what, sort), []).append(f"{source.where}: {name}")

    annotations = source.annotations()
    if source.kind == "tags":
        return tags_in(annotations, report)
    size, where = source.image.size(), str(source.where)
    if source.kind == "boxes":
        boxes = boxes_in(annotations, size, where, report)
        around = [] if source.background is None else [source.background]
        return {*around, *(box.label for box in boxes if box.label != IGNORED)}
    strokes = strokes_in(annotations, source.kind, size, where, report)
    return {int(label) for label in set(strokes.ravel().tolist()) if label != IGNORED}


def _never_marked(spec: DatasetSpec, marked: Counter[int]) -> list[Fault]:
    """A line about the classes that no train image marks; nothing where some are masks, which a check counts."""
    every = [item.annotation for item in spec.splits.get("train", ())]
    if not every or not all(isinstance(source, Supervised) and source.own for source in every):
        return []
    tags_alone = all(isinstance(source, Supervised) and source.kind == "tags" for source in every)
    classes = spec.classes
    missing = [
        name
        for label, name in enumerate(classes.names)
        if not marked[label] and not (tags_alone and label == classes.background)
    ]
    if not missing:
        return []
    text = f"{spec.root}: never annotated in train, so never learned: {first_few(missing, 25)}"
    return [Fault("unmarked", text, "annotate some of each, or leave them out of the classes")]
