"""Counts -> what goes wrong, in words, with what to try: pure functions, which a report of any form can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fullconv.errors import MOST_NAMED, first_few
from fullconv.evaluation.finding import Finding
from fullconv.evaluation.shifts import Shift

FAILS = 0.5
"""A class whose IoU is below fails, and its causes are looked for."""
CONFUSED = 0.25
"""A class is confused with another that takes at least this share of its pixels."""
THIN = 0.5
"""A class is thin if at least this share of its pixels lies in parts narrower than the network's grid."""
RARE = 0.01
"""A class is rare below this share of the labelled pixels."""
MOSTLY_VOID = 0.5
"""Void is too large above this share of all pixels."""
SWAPPED = 0.5
"""Classes are swapped if more than this share of each is predicted as the next."""


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
        void: pixels that the truth leaves unlabelled.
        shift: of the masks, that fits the predictions better.
        unlearned: classes that the train split of the model did not show.
        options: that the model was trained with, where they are known: what was tried already is no advice.
        learned: whether train is known to show all classes but those that are ``unlearned``.
        pictures: of the worst images, where they are written; else the option that writes them.
    """

    names: Sequence[str]
    confusion: Sequence[Sequence[int]]
    known: Sequence[bool]
    presence: Sequence[int]
    images: int
    thin: Sequence[int]
    stride: int
    void: int = 0
    shift: Shift | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    unlearned: Sequence[str] = ()
    learned: bool = False
    pictures: str = "--pictures FOLDER"

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


def findings(counts: Counts) -> list[Finding]:
    """What goes wrong, the whole model first, then class by class, the worst first; empty where nothing does."""
    present = [index for index, known in enumerate(counts.known) if known and counts.truth(index)]
    found = [finding for finding in (_void(counts), _shifted(counts)) if finding is not None]
    if lone := _one_class(counts, present):
        return [*found, lone]
    found += _swapped(counts, present)
    settled = {name for finding in found for name in finding.classes}
    for index in sorted(present, key=counts.iou):
        if counts.iou(index) < FAILS and counts.names[index] not in settled:
            causes = (_unlearned,) if _was_unlearned(counts, index) else CAUSES
            found += [finding for look in causes if (finding := look(counts, index)) is not None]
    return found + [_not_in_truth(counts, index) for index in _unexpected(counts)]


def _one_class(counts: Counts, present: Sequence[int]) -> Finding | None:
    predicted = [index for index in range(len(counts.names)) if counts.predicted(index)]
    if len(predicted) != 1 or len(present) < 2:
        return None
    name = counts.names[predicted[0]]
    return Finding(
        "one-class", (name,), f"every pixel is predicted as {name}, of {len(present)} classes that are there",
        f"train longer, with a smaller --rate{' or --class-weights median-frequency' * (not _weighted(counts))}; "
        "fullconv check DATA shows which classes train has, and whether its masks hold them",
    )  # fmt: skip


def _void(counts: Counts) -> Finding | None:
    share = counts.void / max(1, counts.void + counts.total)
    if share <= MOSTLY_VOID:
        return None
    return Finding(
        "void", (),
        f"void is {share:.0%} of all pixels: no score counts what is predicted there, and training learns nothing of "
        "such pixels",
        "if they are a class (the background), name it under classes in dataset.yaml and take its value out of "
        "ignore; fullconv check DATA shows what is ignored",
    )  # fmt: skip


def _shifted(counts: Counts) -> Finding | None:
    shift = counts.shift
    if shift is None:
        return None
    return Finding(
        "shifted", (),
        f"masks fit the predictions better {shift}: {shift.gained:.0%} fewer wrong pixels, and in {shift.agree:.0%} of "
        "the images where it matters",
        f"lay a mask over its image ({counts.pictures}): if it lies beside what it outlines, move the masks, or see "
        "whether both were resized, cropped and turned alike",
    )  # fmt: skip


def _swapped(counts: Counts, present: Sequence[int]) -> list[Finding]:
    """Classes of which most pixels are predicted as the next, round a circle or to a class that the truth has not."""
    taken_for = {}
    for index in present:
        other = _most_taken_for(counts, index) if len(counts.names) > 1 else index
        if counts.confusion[index][other] / counts.truth(index) > SWAPPED:
            taken_for[index] = other
    ends = {index for index in present if index not in taken_for}
    found, seen = [], set[int]()
    for start in [*(set(taken_for) - set(taken_for.values())), *taken_for]:  # what begins a line, then circles
        line = [start]
        while (following := taken_for.get(line[-1])) is not None and following not in line:
            line.append(following)
        if seen & set(line) or len(line) < 2 or line[-1] in ends:
            continue
        circle = line[-1] in taken_for
        if circle and taken_for[line[-1]] != line[0]:
            continue
        seen |= set(line)
        if circle or len(line) > 2:
            found.append(_in_another_order(counts, line, circle))
    return found


def _in_another_order(counts: Counts, line: Sequence[int], circle: bool) -> Finding:
    names = tuple(counts.names[index] for index in line)
    steps = list(zip(line, [*line[1:], line[0]], strict=True))[: len(line) if circle else -1]
    shares = [counts.confusion[a][b] / counts.truth(a) for a, b in steps]
    if len(line) == 2:
        text = (
            f"{names[0]} and {names[1]} are swapped: {shares[0]:.0%} and {shares[1]:.0%} of their pixels are "
            "predicted as the other"
        )
    else:
        told = [f"{counts.names[a]} as {counts.names[b]} ({n:.0%})" for (a, b), n in zip(steps, shares, strict=True)]
        text = f"classes are in another order: most pixels are predicted {first_few(told, MOST_NAMED)}"
    return Finding(
        "swapped", names, text,
        "compare the order of the classes: fullconv info MODEL, fullconv check DATA, and 'classes' in dataset.yaml",
    )  # fmt: skip


def _was_unlearned(counts: Counts, index: int) -> bool:
    """Whether train had none of a class, so that nothing else need be looked for."""
    return counts.names[index] in counts.unlearned and not counts.predicted(index)


def _unlearned(counts: Counts, index: int) -> Finding | None:
    name = counts.names[index]
    return Finding(
        "unlearned", (name,),
        f"{name} is never predicted: {counts.truth(index):,} pixels in {_images(counts, index)}, and train has none",
        "train with images that show every class: split again (val_fraction, split_seed or lists in dataset.yaml), or "
        "label more",
    )  # fmt: skip


def _never_predicted(counts: Counts, index: int) -> Finding | None:
    if counts.predicted(index):
        return None
    name, other = counts.names[index], _most_taken_for(counts, index)
    share = counts.confusion[index][other] / counts.truth(index)
    return Finding(
        "never-predicted", (name,),
        f"{name} is never predicted: {counts.truth(index):,} pixels in {_images(counts, index)}, {share:.0%} of them "
        f"taken for {counts.names[other]}",
        ", or ".join([_longer(counts), *_balancing(counts)]),
    )  # fmt: skip


def _longer(counts: Counts) -> str:
    more = "more --minutes" if counts.options.get("minutes") is not None else "more --epochs"
    return more if counts.learned else f"see whether train has it (fullconv check DATA); then {more}"


FINER = {"fcn4s": 4, "fpn": 4, "unet": 1}
"""Networks, and the pixels between two places of their grid."""


def _thin(counts: Counts, index: int) -> Finding | None:
    share = counts.thin[index] / counts.truth(index)
    if counts.stride < 2 or share < THIN:
        return None
    name = counts.names[index]
    finer = ", ".join(f"{model} {stride}" for model, stride in FINER.items() if stride < counts.stride)
    return Finding(
        "thin", (name,),
        f"{name} is thin: {share:.0%} of its pixels lie in parts narrower than the {counts.stride} pixels between two "
        "places of the network's grid",
        f"a network of a finer grid (pixels by --model: {finer}), or larger images: cut into parts instead of shrunk, "
        "a larger --resize or none",
    )  # fmt: skip


def _rare(counts: Counts, index: int) -> Finding | None:
    share = counts.truth(index) / counts.total
    if share >= RARE:
        return None
    name = counts.names[index]
    return Finding(
        "rare",
        (name,),
        f"{name} is rare: {share:.2%} of the labelled pixels, in {_images(counts, index)}",
        "; ".join([*filter(None, [", or ".join(_balancing(counts))]), "more images that show it"]),
    )


def _balancing(counts: Counts) -> list[str]:
    """What makes rare classes count, and was not tried."""
    return [
        *(
            [] if _weighted(counts) or _loss(counts) == "dice" else ["--class-weights median-frequency"]
        ),  # dice has none
        *([] if "dice" in _loss(counts) else ["--loss cross-entropy+dice, which counts every class alike"]),
    ]


def _loss(counts: Counts) -> str:
    return str(counts.options.get("loss", ""))


def _weighted(counts: Counts) -> bool:
    return bool(counts.options.get("class_weights", "none") != "none")


def _confused(counts: Counts, index: int) -> Finding | None:
    other = _most_taken_for(counts, index)
    share = counts.confusion[index][other] / counts.truth(index)
    if share < CONFUSED or not counts.predicted(index):  # of one that never is, it is said already
        return None
    names = counts.names[index], counts.names[other]
    return Finding(
        "confused", names, f"{names[0]} is confused with {names[1]}: {share:.0%} of its pixels are taken for it",
        f"look at both in the worst images ({counts.pictures}): were both labelled by the same rule? Where only what "
        "is around tells them apart, a larger --crop; else more images that show both",
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
        "; ".join([
            f"more images of {names[1]}",
            *[f"without --class-weights, or with smaller ones for {names[0]}"] * _weighted(counts),
            *["--loss cross-entropy, which counts every pixel alike"] * ("dice" in _loss(counts)),
        ]),
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
