"""One image with its labels, read from wherever they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.turning import size_line
from fullconv.errors import DataError, first_few
from fullconv.images.encoding import UInt8Array


@dataclass(frozen=True)
class Sample:
    """One image, uint8 ``[height, width, channels]``, with its labels, uint8 or int32 ``[height, width]``.

    ``inside``: the first row and the one behind the last, the first column and the one behind the last, that hold it;
    the rest is padding. None: there is none.
    """

    id: str
    image: UInt8Array
    labels: np.ndarray
    source: int = 0
    inside: tuple[int, int, int, int] | None = None


def read_sample(spec: DatasetSpec, item: Item, shrink: Callable[[tuple[int, int]], int] | None = None) -> Sample:
    """Read an item at full size.

    With ``shrink`` (of the size, ``(height, width)``) the image, not the labels, may come that much smaller.

    Raises:
        DataError: a file that cannot be read, or image and mask of different sizes.
    """
    classes, ignore = len(spec.classes), spec.classes.ignore_index
    labels = item.annotation.label_map(classes, ignore)
    refuse_unlabelled(spec, item, labels)
    factor = shrink((labels.shape[0], labels.shape[1])) if shrink else 1
    image, blank = item.image.read(spec.channels, factor, spec.values)
    height, width = item.image.size() if factor > 1 else image.shape[:2]
    if (height, width) != labels.shape:
        raise DataError(size_line(item, (height, width), labels.shape))
    return Sample(item.id, image, labels if blank is None else void_where(blank, labels, ignore), item.source)


def void_where(blank: np.ndarray, labels: np.ndarray, ignore_index: int) -> np.ndarray:
    """A copy of labels ``[height, width]``, void where the image holds nothing."""
    return np.where(blank, labels.dtype.type(ignore_index), labels)


def refuse_unlabelled(spec: DatasetSpec, item: Item, labels: np.ndarray) -> None:
    """Refuse labels of a class that the item's part of the data set is said not to label.

    Raises:
        DataError: there are such.
    """
    known = np.array(spec.labelled[item.source] if spec.labelled else True)
    if known.all():
        return
    counts = np.bincount(labels.ravel(), minlength=len(known))[: len(known)]
    wrong = [spec.classes.names[index] for index in np.flatnonzero((counts > 0) & ~known)]
    if wrong:
        raise DataError(
            f"{item.annotation.where}: shows {first_few(wrong)}, which 'labelled' in dataset.yaml does not name for "
            "this image; add it there, or make these pixels unlabelled"
        )
