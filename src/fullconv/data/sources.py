"""Images and masks from encoded files: files of their own, or members of containers."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from fullconv.data.annotations import IGNORED, Annotation
from fullconv.data.dataset import Item
from fullconv.data.instances import Instance
from fullconv.errors import DataError
from fullconv.images.encoded import EncodedFile
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import image_size
from fullconv.images.mask_reading import read_mask, stored_form
from fullconv.images.masks import read_labels
from fullconv.images.pixels import read_pixels
from fullconv.images.values import Pixels
from fullconv.spec import Values

BORDER = 255
"""In a file of objects: what is between them."""
OWN_RULE = "read by the layout's own rule, not as mask files of ids"


@dataclass(frozen=True)
class FileImage:
    """An image file."""

    path: Path

    @property
    def where(self) -> Path:
        return self.path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def file(self) -> Path:
        """The file itself."""
        return self.path

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """As :func:`fullconv.images.pixels.read_pixels`."""
        return read_pixels(self.path, channels, shrink, values)

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return image_size(self.path)


@dataclass(frozen=True)
class LabelFile(ABC):
    """Labels that lie in a file, and are read by a rule of their layout."""

    path: Path

    @property
    def where(self) -> Path | str:
        return self.path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    @property
    def has_label_map(self) -> bool:
        return True

    def stored_as(self) -> str:
        return OWN_RULE

    def annotations(self) -> tuple[Annotation, ...]:
        return ()

    @abstractmethod
    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it."""


@dataclass(frozen=True)
class FileMask(LabelFile):
    """A mask file; its encoding is known when the data set is open (:func:`with_encoding`).

    Attributes:
        objects: a file beside it with the number of the object at every pixel: 0 for none, :data:`BORDER` for what is
            between objects.
    """

    encoding: MaskEncoding = field(default_factory=MaskEncoding)
    objects: Path | None = field(default=None, kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,) if self.objects is None else (self.path, self.objects)

    def file(self) -> Path:
        """The file itself."""
        return self.path

    def stored_as(self) -> str:
        return stored_form(self.path)

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """As :func:`fullconv.images.masks.read_labels`."""
        return read_labels(self.path, self.encoding, num_classes, ignore_index)

    @property
    def has_instances(self) -> bool:
        return self.objects is not None

    def instances(self) -> tuple[Instance, ...]:
        """The numbered objects, each of the class that most of its pixels have.

        Raises:
            DataError: the file of numbers cannot be read, or is of another size.
        """
        assert self.objects is not None
        labels, mask = self.label_map(BORDER, BORDER), read_mask(self.objects)
        if mask.stored.shape != labels.shape:
            raise DataError(
                f"{self.objects}: expected the number of an object at every pixel of {labels.shape[1]}x"
                f"{labels.shape[0]}, found {mask.kind} of {mask.size[1]}x{mask.size[0]}; take both files of one release"
            )
        found = []
        for number in np.unique(mask.stored[(mask.stored > 0) & (mask.stored < BORDER)]):
            inside = mask.stored == number
            counts = np.bincount(labels[inside], minlength=BORDER + 1)[:BORDER]
            found.append(Instance(int(counts.argmax()) if counts.any() else IGNORED, inside))
        return tuple(found)


class Enclosed(Protocol):
    """One encoded image in a container: a cell of a table, a member of an archive, a field of a JSON file."""

    @property
    def where(self) -> str:
        """Container and entry, for messages."""
        ...

    @property
    def container(self) -> Path:
        """The file that it lies in."""
        ...

    def file(self) -> EncodedFile:
        """Its bytes.

        Raises:
            DataError: they cannot be read.
        """
        ...


@dataclass(frozen=True)
class _Member:
    member: Enclosed

    @property
    def where(self) -> str:
        return self.member.where

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.member.container,)

    def file(self) -> EncodedFile:
        """Its bytes."""
        return self.member.file()


@dataclass(frozen=True)
class EncodedImage(_Member):
    """An image in a container."""

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """As :func:`fullconv.images.pixels.read_pixels`."""
        return read_pixels(self.file(), channels, shrink, values)

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return image_size(self.file())


@dataclass(frozen=True)
class EncodedMask(_Member):
    """A mask in a container."""

    encoding: MaskEncoding

    @property
    def has_label_map(self) -> bool:
        return True

    def stored_as(self) -> str:
        return OWN_RULE

    def annotations(self) -> tuple[Annotation, ...]:
        return ()

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """As :func:`fullconv.images.masks.read_labels`."""
        return read_labels(self.file(), self.encoding, num_classes, ignore_index)


def with_encoding(splits: Mapping[str, Sequence[Item]], encoding: MaskEncoding) -> dict[str, Sequence[Item]]:
    """The same items, whose mask files are read by ``encoding``."""

    def read_so(item: Item) -> Item:
        mask = item.annotation
        if not isinstance(mask, FileMask):
            return item
        return dataclasses.replace(item, annotation=dataclasses.replace(mask, encoding=encoding))

    return changed(splits, read_so)


def changed(splits: Mapping[str, Sequence[Item]], change: Callable[[Item], Item]) -> dict[str, Sequence[Item]]:
    """Every item changed, once: one that is in two splits stays one item."""
    once = {id(item): change(item) for items in splits.values() for item in items}
    return {split: [once[id(item)] for item in items] for split, items in splits.items()}


def mask_files(splits: Mapping[str, Sequence[Item]]) -> list[Path]:
    """The mask files of all splits, each once."""
    return list(
        dict.fromkeys(
            item.annotation.path for items in splits.values() for item in items if isinstance(item.annotation, FileMask)
        )
    )
