"""Random scale, crop, flip and colour change of image and labels together, as a function of given random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.nn.functional import interpolate

from fullconv.images.encoding import UInt8Array

SHRINKS = (8, 4, 2, 1)
"""How many times smaller JPEGs can be decoded, exactly on their grid of 8x8 blocks."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training sample.

    Attributes:
        crop: ``(height, width)`` of the result, or None for the (scaled) image whole.
        scale: range of the random zoom; ``(1, 1)`` for none.
        flip: mirror half of the samples left to right.
        colour: brightness, contrast and (of 3 channels) saturation each change by a factor in
            ``1 - colour .. 1 + colour``.
        resize: ``(height, width)`` that every sample is brought to first, or None.
        fill: colour of the padding, one value (0 to 255) per channel or one for all.

    Labels are never interpolated (nearest neighbour) and are padded with the ignored id.
    """

    crop: tuple[int, int] | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    colour: float = 0.0
    resize: tuple[int, int] | None = None
    fill: tuple[int, ...] = (0,)

    def __call__(
        self, image: UInt8Array, labels: np.ndarray, random: np.random.Generator, ignore_index: int
    ) -> tuple[UInt8Array, np.ndarray]:
        """Image ``[h, w, c]`` and labels ``[h, w]`` -> the same, changed; all randomness comes from ``random``."""
        return self.apply(image, labels, self.draw((labels.shape[0], labels.shape[1]), random), ignore_index)

    def draw(self, size: tuple[int, int], random: np.random.Generator, whole: bool = False) -> Draw:
        """What happens to one sample of ``(height, width)``, before its pixels are read.

        ``whole``: zoom no further than all of it fits into the crop.
        """
        # always the same draws in the same order, so that one setting does not change another's values
        zoom, top, left, mirror, *factors = random.random(7)
        height, width = self.resize or size
        scale = self.scale[0] + (self.scale[1] - self.scale[0]) * zoom
        if whole and self.crop:
            scale = min(scale, self.crop[0] / height, self.crop[1] / width)
        crop = self.crop or (max(1, round(height * scale)), max(1, round(width * scale)))
        factor = (scale * height / size[0], scale * width / size[1])
        shrink = next(s for s in SHRINKS if s * max(factor) <= 1 or s == 1)
        return Draw(
            _span(size[0], crop[0], factor[0], top, shrink, whole),
            _span(size[1], crop[1], factor[1], left, shrink, whole),
            crop,
            self.flip and mirror < 0.5,
            tuple(1 + self.colour * (2 * factor - 1) for factor in factors) if self.colour else (),
            shrink,
        )

    def apply(
        self, image: UInt8Array, labels: np.ndarray, draw: Draw, ignore_index: int
    ) -> tuple[UInt8Array, np.ndarray]:
        """Resize, zoom and crop in one step: only the pixels of the result are computed.

        The image may have been read ``draw.shrink`` times smaller than its labels.
        """
        rows, columns = draw.rows, draw.columns
        shrunk = image.shape[:2] != labels.shape
        window = (rows.part(draw.shrink), columns.part(draw.shrink)) if shrunk else (rows.part(), columns.part())
        size = (rows.length, columns.length)
        image = resize_image(image[window], size)
        labels = _resize_labels(labels[rows.part(), columns.part()], size)
        if size != draw.crop:
            padded = np.empty((*draw.crop, image.shape[2]), dtype=np.uint8)
            padded[:] = self.fill
            padded_labels = np.full(draw.crop, ignore_index, dtype=labels.dtype)
            inside = np.s_[rows.first : rows.first + rows.length, columns.first : columns.first + columns.length]
            padded[inside], padded_labels[inside] = image, labels
            image, labels = padded, padded_labels
        if draw.mirror:
            image, labels = (torch.flip(_tensor(part), [1]).numpy() for part in (image, labels))
        if draw.factors:
            image = _change_colour(image, *draw.factors)
        return np.ascontiguousarray(image), np.ascontiguousarray(labels)


@dataclass(frozen=True)
class Draw:
    """What happens to one sample.

    Attributes:
        rows, columns: which part of it goes where.
        crop: ``(height, width)`` of the result.
        mirror: left to right.
        factors: of brightness, contrast and saturation; empty for none.
        shrink: 1, 2, 4 or 8: how many times smaller the image may be read, since it is made that much smaller anyway.
    """

    rows: Span
    columns: Span
    crop: tuple[int, int]
    mirror: bool
    factors: tuple[float, ...]
    shrink: int

    @property
    def inside(self) -> tuple[int, int, int, int]:
        """Where in the crop the image is and no padding: first row, the one behind the last, and so of the columns."""
        left, right = self.columns.first, self.columns.first + self.columns.length
        if self.mirror:
            left, right = self.crop[1] - right, self.crop[1] - left
        return self.rows.first, self.rows.first + self.rows.length, left, right


@dataclass(frozen=True)
class Span:
    """Source pixels ``start .. end - 1`` fill places ``first .. first + length - 1`` of the crop."""

    start: int
    end: int
    first: int
    length: int

    def part(self, shrink: int = 1) -> slice:
        """The source pixels, of a source ``shrink`` times smaller."""
        return slice(self.start // shrink, -(-self.end // shrink))


def _span(size: int, crop: int, factor: float, position: float, shrink: int, whole: bool = False) -> Span:
    """Where a crop of an image enlarged by ``factor`` falls along one axis, in whole pixels (of the shrunk image).

    ``position`` (0 to 1) chooses among the places where it fits. ``whole``: ``factor`` brings all of it into the crop.
    """
    cells = -(-size // shrink)
    reach = max(1, round(crop / factor / shrink))
    length = max(1, min(crop, round(size * factor)))
    if reach <= cells and length == crop and not whole:
        start = min(int(position * (cells - reach + 1)), cells - reach)
        return Span(start * shrink, min((start + reach) * shrink, size), 0, crop)
    return Span(0, size, min(int(position * (crop - length + 1)), crop - length), length)


def resize_image(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Bilinear, antialiased when shrinking (as Pillow's ``BILINEAR``); uint8 ``[h, w, c]`` -> ``[*size, c]``."""
    if image.shape[:2] == size:
        return image
    pixels = _tensor(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2)  # channels last, whose path is fast
    return interpolate(pixels, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.require(array, requirements="W"))


def _resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if labels.shape == size:
        return labels
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))


def _change_colour(image: UInt8Array, brightness: float, contrast: float, saturation: float) -> UInt8Array:
    mean = brightness * float(image.mean())
    table = ((np.arange(256) * brightness - mean) * contrast + mean).round().clip(0, 255)
    if image.shape[2] not in (1, 3):  # saturation is that of three colours
        return np.take(table.astype(np.uint8), image)
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture = picture.point(table.astype(int).tolist() * image.shape[2])
    if image.shape[2] == 3:
        picture = ImageEnhance.Color(picture).enhance(saturation)
    changed = np.asarray(picture)
    return changed[:, :, None] if changed.ndim == 2 else changed
