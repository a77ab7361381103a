"""What each training image teaches with: its mask, or less (boxes, tags, scribbles, points), and the labels of that.

A network learns from label maps whatever was annotated: :class:`fullconv.weak.supervised.Supervised` is an item's
annotation seen as labels of one kind, void wherever that kind says nothing. What a label map cannot hold (tags; boxes
as boxes) it gives beside.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import get_args

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item, refuse_without_label_maps
from fullconv.errors import DataError
from fullconv.spec import ClassSet
from fullconv.weak.annotated import Kind, has_mask, marked_with, outlines_of
from fullconv.weak.faults import Fault, Look
from fullconv.weak.sight import Labels, Seen, Sight, learning_lines
from fullconv.weak.supervised import Supervised

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Supervision:
    """A data set as it is learned from.

    Attributes:
        spec: with the annotations of its train items as supervision; val items are those that can be scored.
        kinds: of each train item, by its data set (of a mixture) and id.
        against: what val is scored against: ``masks``, or what it has instead.
        lines: what a user should know: which kinds, how many, which rules.
        faults: what is wrong with annotations, and was left out.
    """

    spec: DatasetSpec
    kinds: Mapping[tuple[int, str], Kind]
    against: str = "masks"
    lines: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def less(self) -> bool:
        """Whether any train image teaches with less than a mask."""
        return any(kind != "masks" for kind in self.kinds.values())

    def counts(self) -> dict[str, int]:
        """How many train images teach with each kind."""
        return dict(Counter(self.kinds.values()).most_common())

    def count(self, *kinds: Kind) -> int:
        """How many train images teach with these."""
        return sum(kind in kinds for kind in self.kinds.values())


def supervise(spec: DatasetSpec, labels: Labels, spread: bool = False) -> Supervision:
    """See the train items of a data set as supervision of the kind that is asked for, and val items as what scores.

    An image that was annotated in that kind teaches with its own annotations, another with what is derived from its
    mask. With ``auto`` each teaches with what it has: its mask, else strokes, points, boxes or tags. Images that have
    nothing of the sort are left out of train, val items without a mask out of the score, and both are said.

    Args:
        spread: points of train items label the superpixels that they lie in (:mod:`fullconv.weak.spread`).

    Raises:
        DataError: no train or val image has anything of the sort, or annotations cannot be read.
    """
    train, val = spec.splits.get("train", ()), spec.splits.get("val", ())
    if labels == "masks":
        refuse_without_label_maps(spec, "train", "val")
        return Supervision(spec, {(item.source, item.id): "masks" for item in train})
    see, look = Sight(spec, labels, spread), Look()
    seen = [see(item, "train") for item in train]
    left_out = [item for item, one in zip(train, seen, strict=True) if one is None]
    taught = [one for one in seen if one is not None and look(one.item, train=True)]
    masked = [see.mask(item, "val") for item in val if has_mask(item.annotation)]
    scored = masked or [
        one for one in (see(item, "val") for item in val) if one is not None and look(one.item, train=False)
    ]
    splits = {**spec.splits, "train": [one.item for one in taught]}
    splits |= {"val": [one.item for one in scored]} if val else {}
    result = dataclasses.replace(spec, splits=splits)
    faults = look.faults(result, left_out, see.wanting)
    for split, items, kept in (("train", train, taught), ("val", val, scored)):
        if items and not kept:
            used = "teach with" if split == "train" else "be scored against"
            why = f" ({faults[0].text})" if faults and len(left_out) < len(train) else ""
            raise DataError(
                f"{spec.root}: the {split} images have {see.wanting}: nothing to {used}{why}; annotate some "
                "(fullconv check says what is there)"
            )
    lines = [*learning_lines(taught, spec.classes), *_lines_of_items(taught, labels, spec.classes)]
    if len(scored) < len(val):
        missing = "no mask" if masked else see.wanting
        lines.append(f"{len(val) - len(scored)} of {len(val)} val images have {missing}: left out of the score")
    against = [kind for kind in KINDS if any(one.kind == kind for one in scored)]
    if against == ["tags"]:
        lines.append("val images have tags alone: no val scores, and the last epoch is kept as the best")
    elif against not in ([], ["masks"]):
        lines.append(f"no val image has a mask: the val scores are against {' and '.join(against)}, not masks")
    kinds = {(one.item.source, one.item.id): one.kind for one in taught}
    return Supervision(result, kinds, " and ".join(against) or "masks", tuple(lines), faults)


def _lines_of_items(taught: Sequence[Seen], labels: Labels, classes: ClassSet) -> list[str]:
    """What is taken for granted of train images, and what of their annotations is not used."""
    lines, sources = [], [one.item.annotation for one in taught]
    outlined = [outlines_of(one.base if isinstance(one, Supervised) else one) for one in sources]
    if bare := sum(source is not None and not source.kinds() for source in outlined):
        around = "void" if classes.background is None else classes.names[classes.background]
        lines.append(f"{bare} of {len(taught)} train images have no annotation, in data with outlines: all is {around}")
    strokes = [one.item.annotation for one in taught if one.kind in ("scribbles", "points")]
    also = sum(isinstance(one, Supervised) and one.own and "boxes" in marked_with(one.base) for one in strokes)
    if also and labels == "auto":
        images = "image has" if also == 1 else "images have"
        lines.append(
            f"{also} train {images} boxes beside strokes or points, which are not used; --labels boxes uses them"
        )
    return lines


def labelled_pixels(spec: DatasetSpec) -> tuple[np.ndarray, np.ndarray]:
    """Labelled pixels of each class in the train items as they are learned from, and of the images that show it.

    Returns:
        Two int64 ``[classes]``.
    """
    classes = len(spec.classes)

    def count(item: Item) -> np.ndarray:
        labels = item.annotation.label_map(classes, spec.classes.ignore_index)
        return np.bincount(labels.ravel(), minlength=classes)[:classes]

    with ThreadPoolExecutor() as pool:
        counts = np.array(list(pool.map(count, spec.split("train"))), np.int64)
    return counts.sum(0), ((counts > 0) * counts.sum(1, keepdims=True)).sum(0)
