"""Counts -> what goes wrong, in words, with what to try: pure functions, which a report of any form can show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

FAILS = 0.5
"""A class whose IoU is below fails, and its causes are looked for."""
CONFUSED = 0.25
"""A class is confused with another that takes at least this share of its pixels."""
THIN = 0.5
"""A class is thin if at least this share of its pixels lies in parts narrower than the network's grid."""
RARE = 0.01
"""A class is rare below this share of the labelled pixels."""


@dataclass(frozen=True)
class Counts:
    """What the findings are made from; a row and an entry for each class.

    Attributes:
        names: of the classes.
        confusion: pixels of true class ``i`` predicted as ``j``, row by row.
        known: whether the data label the class.
        presence: in how many images there are pixels of the class.
        images: how many there are.
        thin: pixels in parts narrower than ``stride``.
        stride: pixels of the image between two places of the network's coarse logits.
    """

    names: Sequence[str]
    confusion: Sequence[Sequence[int]]
    known: Sequence[bool]
    presence: Sequence[int]
    images: int
    thin: Sequence[int]
    stride: int

    def truth(self, index: int) -> int:
        return sum(self.confusion[index])

    def predicted(self, index: int) -> int:
        return sum(row[index] for row in self.confusion)

    def iou(self, index: int) -> float:
        """Of a class that is there."""
        right = self.confusion[index][index]
        return right / (self.truth(index) + self.predicted(index) - right)

    @property
    def total(self) -> int:
        return sum(map(sum, self.confusion))


@dataclass(frozen=True)
class Finding:
    """One thing that goes wrong.

    Attributes:
        kind: ``one-class``, ``swapped``, ``never-predicted``, ``thin``, ``rare``, ``confused``, ``too-often`` or
            ``not-in-truth``.
        classes: that it is about; of ``confused`` and ``swapped`` the other class is the second.
        text: what was found.
        advice: what to try.
    """

    kind: str
    classes: tuple[str, ...]
    text: str
    advice: str

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "classes": list(self.classes), "text": self.text, "advice": self.advice}


def findings(counts: Counts) -> list[Finding]:
    """What goes wrong, the whole model first, then class by class, the worst first; empty where nothing does."""
    present = [index for index, known in enumerate(counts.known) if known and counts.truth(index)]
    if lone := _one_class(counts, present):
        return [lone]
    found = list(_swapped(counts, present))
    settled = {name for finding in found for name in finding.classes}
    for index in sorted(present, key=counts.iou):
        if counts.iou(index) < FAILS and counts.names[index] not in settled:
            found += [finding for look in CAUSES if (finding := look(counts, index)) is not None]
    return found + [_not_in_truth(counts, index) for index in _unexpected(counts)]


def by_advice(found: Iterable[Finding]) -> list[tuple[list[str], str]]:
    """What was found, and what to try: findings of one advice together, in the order of the first of them."""
    texts: dict[str, list[str]] = {}
    for finding in found:
        texts.setdefault(finding.advice, []).append(finding.text)
    return [(together, advice) for advice, together in texts.items()]


def _one_class(counts: Counts, present: Sequence[int]) -> Finding | None:
    predicted = [index for index in range(len(counts.names)) if counts.predicted(index)]
    if len(predicted) != 1 or len(present) < 2:
        return None
    name = counts.names[predicted[0]]
    return Finding(
        "one-class", (name,), f"every pixel is predicted as {name}, of {len(present)} classes that are there",
        "train longer, with a smaller --rate or --class-weights median-frequency; fullconv check DATA shows which "
        "classes train has, and whether its masks hold them",
    )  # fmt: skip


def _swapped(counts: Counts, present: Sequence[int]) -> list[Finding]:
    """Pairs of which most pixels of each are predicted as the other."""
    found = []
    for a in present:
        for b in present:
            first, second = counts.confusion[a][b] / counts.truth(a), counts.confusion[b][a] / counts.truth(b)
            if a < b and min(first, second) > 0.5:
                names = counts.names[a], counts.names[b]
                found.append(
                    Finding(
                        "swapped", names,
                        f"{names[0]} and {names[1]} are swapped: {first:.0%} and {second:.0%} of their pixels are "
                        "predicted as the other",
                        "compare the order of the classes: fullconv info MODEL, fullconv check DATA, and 'classes' in "
                        "dataset.yaml",
                    )
                )  # fmt: skip
    return found


def _never_predicted(counts: Counts, index: int) -> Finding | None:
    if counts.predicted(index):
        return None
    name, other = counts.names[index], _most_taken_for(counts, index)
    share = counts.confusion[index][other] / counts.truth(index)
    return Finding(
        "never-predicted", (name,),
        f"{name} is never predicted: {counts.truth(index):,} pixels in {_images(counts, index)}, {share:.0%} of them "
        f"taken for {counts.names[other]}",
        "see whether train has it (fullconv check DATA); then more --epochs, or --class-weights median-frequency",
    )  # fmt: skip


def _thin(counts: Counts, index: int) -> Finding | None:
    share = counts.thin[index] / counts.truth(index)
    if counts.stride < 2 or share < THIN:
        return None
    name = counts.names[index]
    return Finding(
        "thin", (name,),
        f"{name} is thin: {share:.0%} of its pixels lie in parts narrower than the {counts.stride} pixels between two "
        "places of the network's grid",
        "a network of a finer grid (--model fcn4s or fpn: 4 pixels, unet: 1), or larger images: cut into parts instead "
        "of shrunk, a larger --resize or none",
    )  # fmt: skip


def _rare(counts: Counts, index: int) -> Finding | None:
    share = counts.truth(index) / counts.total
    if share >= RARE:
        return None
    name = counts.names[index]
    return Finding(
        "rare", (name,), f"{name} is rare: {share:.2%} of the labelled pixels, in {_images(counts, index)}",
        "--class-weights median-frequency, or --loss cross-entropy+dice, which counts every class alike; more images "
        "that show it",
    )  # fmt: skip


def _confused(counts: Counts, index: int) -> Finding | None:
    other = _most_taken_for(counts, index)
    share = counts.confusion[index][other] / counts.truth(index)
    if share < CONFUSED or not counts.predicted(index):  # of one that never is, it is said already
        return None
    names = counts.names[index], counts.names[other]
    return Finding(
        "confused", names, f"{names[0]} is confused with {names[1]}: {share:.0%} of its pixels are taken for it",
        "look at both in the worst images (--pictures FOLDER): are the masks of one rule? Where only what is around "
        "tells them apart, a larger --crop; else more images that show both",
    )  # fmt: skip


def _too_often(counts: Counts, index: int) -> Finding | None:
    predicted, right = counts.predicted(index), counts.confusion[index][index]
    if not predicted or right / predicted >= FAILS or right / counts.truth(index) < FAILS:
        return None
    others = [i for i in range(len(counts.names)) if i != index]
    other = max(others, key=lambda i: counts.confusion[i][index])
    names = counts.names[index], counts.names[other]
    share = counts.confusion[other][index] / predicted
    return Finding(
        "too-often", names,
        f"{names[0]} is predicted too often: {right / predicted:.0%} of what is called so is it, {share:.0%} is "
        f"{names[1]}",
        f"more images of {names[1]}; without --class-weights, or with smaller ones for {names[0]}",
    )  # fmt: skip


def _unexpected(counts: Counts) -> list[int]:
    named = range(len(counts.names))
    return [i for i in named if counts.known[i] and not counts.truth(i) and counts.predicted(i)]


def _not_in_truth(counts: Counts, index: int) -> Finding:
    name = counts.names[index]
    return Finding(
        "not-in-truth", (name,),
        f"{name} is predicted at {counts.predicted(index):,} pixels, and no image of this split has it: its IoU is 0, "
        "and counts in the mean",
        "a split that shows every class, or fewer classes",
    )  # fmt: skip


CAUSES: tuple[Callable[[Counts, int], Finding | None], ...] = (_never_predicted, _thin, _rare, _confused, _too_often)
"""Of one class that fails."""


def _most_taken_for(counts: Counts, index: int) -> int:
    """The other class that most of its pixels are predicted as."""
    others = [i for i in range(len(counts.names)) if i != index]
    return max(others, key=lambda i: counts.confusion[index][i])


def _images(counts: Counts, index: int) -> str:
    return f"{counts.presence[index]} of {counts.images} images"
