"""Images and masks that are no files of their own: encoded bytes inside a container (parquet cell, tar member)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import image_size
from fullconv.images.masks import read_labels
from fullconv.images.pixels import read_pixels
from fullconv.images.values import Pixels
from fullconv.spec import Values


class EncodedFile(io.BytesIO):
    """The bytes of an image file, for the readers of ``images``: they need its content, and its name in messages."""

    def __init__(self, content: bytes, where: str, suffix: str = "") -> None:
        super().__init__(content)
        self.where, self.suffix = where, suffix

    def __str__(self) -> str:
        return self.where


class Member(Protocol):
    """Where the bytes of one image lie."""

    def file(self) -> Path:
        """An :class:`EncodedFile` in the place of a path.

        Raises:
            DataError: they cannot be read.
        """
        ...


@dataclass(frozen=True)
class EncodedImage:
    """An image in a container."""

    member: Member

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """As :func:`fullconv.images.pixels.read_pixels`."""
        return read_pixels(self.member.file(), channels, shrink, values)

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return image_size(self.member.file())


@dataclass(frozen=True)
class EncodedLabels:
    """A mask in a container."""

    member: Member
    encoding: MaskEncoding

    def read(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """uint8 ``[height, width]``, or int32 when ``ignore_index`` needs it."""
        return read_labels(self.member.file(), self.encoding, num_classes, ignore_index)
