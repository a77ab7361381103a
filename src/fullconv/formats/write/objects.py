"""The objects of an image, for layouts of annotation tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.instances import KeepsInstances
from fullconv.data.sample import Sample
from fullconv.errors import UsageError
from fullconv.palette import is_background
from fullconv.polygons.outlines import outlines
from fullconv.spec import ClassSet


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

    owner = np.zeros(sample.labels.shape, np.int32)
    if isinstance(item.annotation, KeepsInstances) and item.annotation.has_instances:
        for number, instance in enumerate(item.annotation.instances(), 1):
            owner[instance.mask] = number
    for label in np.unique(sample.labels):
        if label == classes.background:
            continue
        here = sample.labels == label
        pieces, count = ndimage.label(here & (owner == 0), np.ones((3, 3), bool))
        numbers = np.where(here, np.where(owner > 0, owner + count, pieces), 0)
        for number, box in enumerate(ndimage.find_objects(numbers), 1):
            if box is not None:
                yield Region(int(label), numbers[box] == number, box[1].start, box[0].start)


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
