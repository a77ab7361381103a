"""How the items of a data set are seen: which kind of supervision each is, its own or derived from its mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.errors import DataError
from fullconv.spec import ClassSet
from fullconv.weak.annotated import Kind, has_mask, marked_with, outlines_of, strokes_in
from fullconv.weak.drawn import CRUMB, SHARE, WIDTH
from fullconv.weak.spread import MOST
from fullconv.weak.supervised import Rules, Supervised

Labels = Literal["masks", "boxes", "tags", "scribbles", "points", "auto"]
"""What the images of a data set shall teach with; ``auto``: each with what it has."""
SPARSE, PROBED = 0.1, 20
"""Mask files that label less than this share of their pixels are scribbles; so many of train are looked at."""
PAINTED = 0.5
"""Brush strokes, of the background too, that cover less than this share of the images are scribbles."""


class Seen(NamedTuple):
    """An item as it is learned from; whether the kind is the item's own or derived from its mask."""

    item: Item
    kind: Kind
    own: bool


class Sight:
    """Sees items of a data set as supervision of the kind that is asked for.

    Args:
        spread: the points of the train split label superpixels; scores are of points as they are.

    Attributes:
        wanting: what items have that cannot teach so, in words.
    """

    def __init__(self, spec: DatasetSpec, labels: Labels, spread: bool = False) -> None:
        self.spec, self.labels = spec, labels
        self.scored = Rules(spec.classes)
        self.taught = Rules(spec.classes, (spec.channels, spec.values)) if spread else self.scored
        self.thin: dict[str, bool] = {}
        """Whether the mask files of a split are scribbles, as far as that was asked."""
        self.wanting = "no annotation" if labels == "auto" else f"no {labels}, and no mask to derive them from"

    def __call__(self, item: Item, split: str) -> Seen | None:
        """What an item of a split teaches with; None where it has nothing of the sort.

        Raises:
            DataError: its annotations cannot be read.
        """
        labels, source, masked = self.labels, item.annotation, has_mask(item.annotation)
        if labels in ("auto", "masks") and masked:
            return self.mask(item, split)
        if labels == "scribbles" and masked and outlines_of(source) is None and self._sparse(split):
            return self.mask(item, split)
        marked = marked_with(source)
        if labels == "auto":
            return self._as(item, split, marked[0], True) if marked else None
        fits: dict[str, tuple[Kind, ...]] = {
            "scribbles": ("scribbles", "points"),
            "tags": ("tags",) if masked else marked,
        }
        own = any(kind in marked for kind in fits.get(labels, (labels,))) or (labels == "scribbles" and self.brushed)
        if not own and not masked:
            return None
        return self._as(item, split, labels, own)

    def mask(self, item: Item, split: str) -> Seen:
        """An item with a mask, as it is."""
        sparse = outlines_of(item.annotation) is None and self._sparse(split)
        return Seen(item, "scribbles" if sparse else "masks", True)

    def _as(self, item: Item, split: str, kind: Kind, own: bool) -> Seen:
        background = self.spec.classes.background
        if background is not None and self.spec.labelled and not self.spec.labelled[item.source][background]:
            background = None
        rules = self.taught if split == "train" else self.scored
        seen = Supervised(item.annotation, item.image, kind, own, background, rules)
        return Seen(dataclasses.replace(item, annotation=seen, whole=kind == "tags"), kind, own)

    def _sparse(self, split: str) -> bool:
        """Whether a split's mask files (the first of them) are scribbles: they leave nearly all pixels void."""
        if split not in self.thin:
            files = [item for item in self.spec.splits[split] if has_mask(item.annotation)]
            files = [item for item in files if outlines_of(item.annotation) is None][:PROBED]
            self.thin[split] = bool(files) and float(np.mean([self._labelled_share(item) for item in files])) < SPARSE
        return self.thin[split]

    def _labelled_share(self, item: Item) -> float:
        classes = self.spec.classes
        try:
            labels = item.annotation.label_map(len(classes), classes.ignore_index)
        except DataError:  # said where it is read
            return 1.0
        return float(np.mean(labels != classes.ignore_index))

    @cached_property
    def brushed(self) -> bool:
        """Whether what tools painted in the train set (the first of it) are strokes: of the background too, where there
        is such a class, and yet little of the images is painted.
        """
        background, shares, around = self.spec.classes.background, [], False
        for item in self.spec.splits.get("train", ())[:PROBED]:
            source = item.annotation
            if outlines_of(source) is None:
                return False
            masks = [one for one in source.annotations() if one.kind == "mask"]
            if any(one.stored is None for one in masks):
                return False
            around = around or any(one.label == background for one in masks)
            painted = strokes_in(masks, "scribbles", item.image.size(), str(source.where))
            shares.append(float(np.mean(painted >= 0)))
        return bool(shares) and (around or background is None) and 0 < float(np.mean(shares)) < PAINTED


def learning_lines(seen: Sequence[Seen], classes: ClassSet) -> list[str]:
    """What the train images teach with, and by which rules; nothing where all of it is masks."""
    if all(one.kind == "masks" for one in seen):
        return []
    counts = dict.fromkeys(((one.kind, one.own) for one in seen), 0)
    for one in seen:
        counts[one.kind, one.own] += 1
    said = [
        f"{kind} of {n} image{'s' * (n > 1)}" + ("" if own else ", derived from masks")
        for (kind, own), n in counts.items()
    ]
    lines = [f"learns from {'; '.join(said)}"]
    kinds = {one.kind for one in seen}
    marks = [one.item.annotation for one in seen if one.kind in ("scribbles", "points")]
    drawn = [one for one in marks if isinstance(one, Supervised)]
    if drawn:
        lines.append(_STROKES)
    if any(one.kind == "points" and one.rules.spread for one in drawn):
        lines.append(f"points also label up to {MOST} pixels of the superpixels that they lie in")
    if any(not one.own for one in drawn):
        lines.append(f"none is derived from components smaller than 1/{CRUMB} of the image")
    if ("scribbles", False) in counts:
        lines.append(f"drawn scribbles cover {SHARE:.0%} of what is labelled: middles and borders of components")
    if "boxes" in kinds:
        around = "nothing is known: there is no class for the background"
        if classes.background is not None:
            around = f"is {classes.names[classes.background]}"
        lines.append(f"outside of all boxes {around}")
    return [lines[0], *(f"  {line}" for line in lines[1:])]


_STROKES = f"strokes are {WIDTH} pixels wide, points {WIDTH}x{WIDTH}; what none covers is void"
