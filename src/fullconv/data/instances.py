"""Objects one by one: which pixels each of them has, where annotations keep that, or by connected components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from fullconv.data.annotations import IGNORED
from fullconv.data.dataset import AnnotationSource, AnnotationView, Item
from fullconv.errors import DataError
from fullconv.spec import ClassSet

BITS = 16
"""Of a packed value's lower part, the class id; the object's number lies above."""
MOST = (1 << (31 - BITS)) - 1
"""Objects of one image."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One object of an image.

    Attributes:
        label: class id, or :data:`fullconv.data.annotations.IGNORED`.
        mask: bool ``[height, width]``, all that was annotated of it, on the image as it is shown.
        crowd: it covers many objects together (COCO's ``iscrowd``).
    """

    label: int
    mask: np.ndarray
    crowd: bool = False


@runtime_checkable
class KeepsInstances(Protocol):
    """An annotation that may know its objects."""

    @property
    def has_instances(self) -> bool:
        """Whether it does."""
        ...

    def instances(self) -> tuple[Instance, ...]:
        """In the order in which they are drawn, parts of one joined; also crowds, and what has no class.

        Raises:
            DataError: a mask that cannot be decoded.
        """
        ...


def keeps_instances(annotation: AnnotationSource) -> bool:
    """Whether an annotation says which pixels are which object's."""
    return isinstance(annotation, KeepsInstances) and annotation.has_instances


def components(labels: np.ndarray, classes: ClassSet) -> tuple[Instance, ...]:
    """Every 8-connected component of every class but the background as an object: touching ones of a class are one."""
    from scipy import ndimage

    found = []
    for label in np.unique(labels):
        if label in (classes.background, classes.ignore_index):
            continue
        numbers, count = ndimage.label(labels == label, np.ones((3, 3), bool))
        found += [Instance(int(label), numbers == number) for number in range(1, count + 1)]
    return tuple(found)


def pack(labels: np.ndarray, instances: Sequence[Instance], classes: ClassSet, where: object) -> np.ndarray:
    """One int32 map of classes and objects, which augmentation moves as it moves labels.

    A value is ``label + (number << BITS)``, the number 0 where there is no object. Where objects overlap, the one
    drawn last has the pixel. Crowds and what has no class are void.

    Raises:
        DataError: too many objects.
    """
    if len(instances) > MOST:
        raise DataError(f"{where}: {len(instances)} objects, expected at most {MOST}; cut the image into parts")
    owner = np.zeros(labels.shape, np.int32)
    kept = labels.astype(np.int32)
    for number, instance in enumerate(instances, start=1):
        if instance.crowd or instance.label == IGNORED:
            owner[instance.mask] = 0
            kept[instance.mask] = classes.ignore_index
        else:
            # where the label map shows another class, something without a number was drawn over it
            owner[instance.mask & (labels == instance.label)] = number if instance.label != classes.background else 0
            kept[instance.mask] = labels[instance.mask]
    return kept + (owner << BITS)


@dataclass(frozen=True)
class PackedInstances(AnnotationView):
    """An annotation whose label map is :func:`pack`: objects go through reading, zoom, crop and flip as labels do."""

    classes: ClassSet

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """int32 ``[height, width]``."""
        labels = self.base.label_map(num_classes, ignore_index)
        return pack(labels, true_instances(self.base, labels, self.classes), self.classes, self.where)


def true_instances(annotation: AnnotationSource, labels: np.ndarray, classes: ClassSet) -> tuple[Instance, ...]:
    """The objects of an image with its label map: as annotated where that is kept, else :func:`components`."""
    if isinstance(annotation, KeepsInstances) and annotation.has_instances:
        return annotation.instances()
    return components(labels, classes)


def count_without_instances(items: Sequence[Item]) -> int:
    """How many have masks that do not say which object is which."""
    return sum(not keeps_instances(item.annotation) for item in items)
