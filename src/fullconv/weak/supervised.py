"""An item's annotation as supervision of one kind: the labels to learn from, and beside them tags and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.annotations import IGNORED
from fullconv.data.dataset import AnnotationView, ImageSource, Item
from fullconv.data.instances import BITS, KeepsInstances, pack
from fullconv.errors import DataError
from fullconv.images.orientation import upright_size
from fullconv.spec import ClassSet, Values
from fullconv.weak.annotated import Kind, boxes_in, outlines_of, strokes_in, tags_in
from fullconv.weak.boxes import filled
from fullconv.weak.drawn import Box, box_around, boxes_of, boxes_of_objects, points_of, scribbles_of, tags_of
from fullconv.weak.kept import kept
from fullconv.weak.spread import spread


@dataclass(frozen=True)
class Rules:
    """How annotations become labels; one for a data set.

    Attributes:
        classes: of the label maps.
        spread: points label superpixels (:mod:`fullconv.weak.spread`), of images read so: channels, and how other than
            8-bit values are; None: points label their 3x3 pixels.
    """

    classes: ClassSet
    spread: tuple[int, Values | None] | None = None


@dataclass(frozen=True)
class Supervised(AnnotationView):
    """An item's annotation as supervision of one kind.

    Attributes:
        base: the annotation as it was read.
        image: what it is of.
        kind: what it teaches with.
        own: the image was annotated in this kind; else it has a mask, from which what this kind would be is derived.
        background: the class of what lies outside all boxes; None: nothing is known of that.
        rules: of the data set.
    """

    image: ImageSource
    kind: Kind
    own: bool
    background: int | None
    rules: Rules

    @property
    def has_label_map(self) -> bool:
        return True

    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the image.

        Raises:
            DataError: the annotations were made on another size.
        """
        size, drawn = self.image.size(), outlines_of(self.base)
        if drawn is not None and upright_size(drawn.size, drawn.turn()) != size:
            raise DataError(
                f"{self.where}: labelled at {drawn.size[1]}x{drawn.size[0]}, but {Path(self.image.where).name} is "
                f"{size[1]}x{size[0]}; give the image that was labelled"
            )
        return size

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """The labels to learn from, ``[height, width]``: void where nothing is said. Derived ones are kept."""
        spreads = self.kind == "points" and self.rules.spread is not None
        if (self.own and not spreads) or self.kind == "tags":
            return self._drawn(self.size(), ignore_index)
        rule = self.kind, self.background, self.rules
        return kept(Item("", self.image, self.base), rule, lambda: self._derived(ignore_index))

    def _drawn(self, size: tuple[int, int], ignore_index: int) -> np.ndarray:
        """As the annotation itself says."""
        if self.kind == "tags":
            return np.full(size, ignore_index, _dtype(ignore_index))
        if self.kind == "boxes":
            return filled(self.boxes(), size, ignore_index, self.background)
        labels = strokes_in(self.annotations(), self.kind, size, str(self.where))
        return np.where(labels == IGNORED, ignore_index, labels).astype(_dtype(ignore_index))

    def _derived(self, ignore_index: int) -> np.ndarray:
        """By a rule from the mask, or from points."""
        if self.kind == "points":
            marks = self._drawn(self.size(), ignore_index) if self.own else points_of(self.mask(), ignore_index)
            if self.rules.spread is None:
                return marks
            channels, values = self.rules.spread
            image = np.asarray(self.image.read(channels, 1, values).image)
            fits = image.shape[:2] == marks.shape  # else it is refused where both are read
            return spread(marks, image, ignore_index) if fits else marks
        labels = self.mask()
        if self.kind == "boxes":
            return filled(self.boxes(), (labels.shape[0], labels.shape[1]), ignore_index, self.background)
        return scribbles_of(labels, ignore_index)

    def mask(self) -> np.ndarray:
        """The label map of the annotation itself."""
        return self.base.label_map(len(self.rules.classes), self.rules.classes.ignore_index)

    def tags(self) -> frozenset[int]:
        """The classes that the image shows, as far as its tags name them; a mask's background is one of them."""
        if self.own:
            return tags_in(self.annotations())
        return tags_of(self.mask(), len(self.rules.classes))

    def boxes(self) -> tuple[Box, ...]:
        """Those of the image, within it; of no class (-1) are those of crowds and of classes that are none.

        Derived ones are around what is seen of each object where the annotation keeps objects, else around components.
        """
        classes = self.rules.classes
        if self.own:
            found = boxes_in(self.annotations(), self.size(), str(self.where))
            return tuple(box for box in found if box.label != classes.background)
        labels, source = self.mask(), self.base
        if not (isinstance(source, KeepsInstances) and source.has_instances):
            return boxes_of(labels, classes.ignore_index, classes.background)
        instances = source.instances()
        packed = pack(labels, instances, classes, self.where)
        crowds = [box_around(one.mask, IGNORED) for one in instances if one.crowd and one.mask.any()]
        return (*boxes_of_objects(packed >> BITS, labels), *crowds)


def _dtype(ignore_index: int) -> type[np.uint8] | type[np.int32]:
    return np.uint8 if ignore_index <= 255 else np.int32
