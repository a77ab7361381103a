"""The objects of an image, for layouts of annotation tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.instances import KeepsInstances
from fullconv.data.sample import Sample
from fullconv.errors import UsageError
from fullconv.palette import is_background
from fullconv.polygons.outlines import outlines
from fullconv.polygons.trace import TOLERANCE, traced, without_holes
from fullconv.spec import ClassSet


class Coarse(NamedTuple):
    """How much simpler outlines are to be than what they show, as :func:`fullconv.polygons.trace.trace` has it."""

    tolerance: float = TOLERANCE
    min_area: int = 0


class Outlined(NamedTuple):
    """An object, or a piece of a class, as polygons.

    Attributes:
        label: class id, or the ignored id.
        rings: points ``[n, 2]``, without holes: the middles of border pixels (int, their numbers), or where outlines
            are simpler, corners (float, from the corner of the image).
        area: pixels.
    """

    label: int
    rings: list[np.ndarray]
    area: int


class Region(NamedTuple):
    """An object, or a connected piece of a class; together the regions of an image show its label map.

    Attributes:
        label: class id, or the ignored id.
        mask: bool, of the box that begins at ``left`` and ``top``.
    """

    label: int
    mask: np.ndarray
    left: int
    top: int

    def outlines(self) -> list[np.ndarray]:
        """As :func:`fullconv.polygons.outlines.outlines`, in pixels of the image."""
        corner = np.array([self.left, self.top])
        return [outline + corner for outline in outlines(self.mask)]


def regions(item: Item, sample: Sample, classes: ClassSet) -> Iterator[Region]:
    """Whatever is not background: by object where the annotations know them, else by 8-connected piece."""
    from scipy import ndimage

    owner = _owners(item, sample)
    for label in np.unique(sample.labels):
        if label == classes.background:
            continue
        here = sample.labels == label
        pieces, count = ndimage.label(here & (owner == 0), np.ones((3, 3), bool))
        numbers = np.where(here, np.where(owner > 0, owner + count, pieces), 0)
        for number, box in enumerate(ndimage.find_objects(numbers), 1):
            if box is not None:
                yield Region(int(label), numbers[box] == number, box[1].start, box[0].start)


def _owners(item: Item, sample: Sample) -> np.ndarray:
    """The number of the object of each pixel, from 1; 0: of none."""
    owner = np.zeros(sample.labels.shape, np.int32)
    if isinstance(item.annotation, KeepsInstances) and item.annotation.has_instances:
        for number, instance in enumerate(item.annotation.instances(), 1):
            owner[instance.mask] = number
    return owner


def outlined(item: Item, sample: Sample, classes: ClassSet, coarse: Coarse | None) -> Iterator[Outlined]:
    """Whatever is not background, by :func:`regions`; where it is to be simpler, as polygons that share their borders
    (:func:`fullconv.polygons.trace.traced`): by object where the annotations know them, else by 4-connected piece.
    """
    if coarse is None:
        for region in regions(item, sample, classes):
            yield Outlined(region.label, region.outlines(), int(region.mask.sum()))
        return
    ids, labels = _numbered(sample.labels, _owners(item, sample), classes)
    void = len(classes)
    shapes, found = traced(ids, void, coarse.tolerance, coarse.min_area)
    objects: dict[int, list[Any]] = {}
    for place, number in enumerate(found.tolist()):
        objects.setdefault(number if number > void else -1 - place, []).append((number, shapes[place]))
    for parts in objects.values():
        label = int(labels[parts[0][0]])
        if label != classes.background:
            rings = [np.asarray(cut.exterior.coords)[:-1] for _, shape in parts for cut in without_holes(shape)]
            yield Outlined(label, rings, round(sum(shape.area for _, shape in parts)))


def _numbered(labels: np.ndarray, owner: np.ndarray, classes: ClassSet) -> tuple[np.ndarray, np.ndarray]:
    """A number for each class, then one for what has no label, then for each object of each class; and their labels."""
    count = len(classes)
    plain = np.where(labels < count, labels, count).astype(np.int64)
    own = (owner > 0) & (plain < count) & (labels != (-1 if classes.background is None else classes.background))
    pairs, place = np.unique(owner[own].astype(np.int64) * count + plain[own], return_inverse=True)
    plain[own] = place + count + 1
    return plain.astype(np.int32), np.concatenate([np.arange(count), [classes.ignore_index], pairs % count])


def refuse_two_backgrounds(spec: DatasetSpec, target: str) -> None:
    """Refuse classes that are one to a layout that calls what no region covers background.

    Raises:
        UsageError: two or more of them.
    """
    backgrounds = [name for name in spec.classes.names if is_background(name)]
    if len(backgrounds) > 1:
        raise UsageError(
            f"--to {target}: {' and '.join(backgrounds)} would be one class; join them (--classes), or rename"
        )


def refuse_other_splits(spec: DatasetSpec, target: str) -> None:
    """Refuse splits that a layout has no name for.

    Raises:
        UsageError: one of them.
    """
    strange = [split for split in spec.splits if split not in ("train", "val", "test")]
    if strange:
        raise UsageError(f"--to {target}: it has splits train, val and test, not {strange[0]}; rename it in the data")
