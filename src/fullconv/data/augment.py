"""Random scale, crop, flip and colour change of image and labels together, as a function of given random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from fullconv.data.spec import UInt8Array


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training sample.

    Attributes:
        crop: ``(height, width)`` of the result, or None for the (scaled) image whole.
        scale: range of the random zoom; ``(1, 1)`` for none.
        flip: mirror half of the samples left to right.
        colour: brightness, contrast and saturation each change by a factor in ``1 - colour .. 1 + colour``.
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
        # always the same draws in the same order, so that one setting does not change another's values
        zoom, top, left, mirror, *factors = random.random(7)
        size = self.resize or image.shape[:2]
        scale = self.scale[0] + (self.scale[1] - self.scale[0]) * zoom
        crop = self.crop or (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        rows = _place(image.shape[0], crop[0], scale * size[0] / image.shape[0], top)
        columns = _place(image.shape[1], crop[1], scale * size[1] / image.shape[1], left)
        image, labels = self._window(image, labels, crop, rows, columns, ignore_index)
        if self.flip and mirror < 0.5:
            image, labels = image[:, ::-1], labels[:, ::-1]
        if self.colour and image.shape[2] in (1, 3):
            image = _change_colour(image, [1 + self.colour * (2 * factor - 1) for factor in factors])
        return np.ascontiguousarray(image), np.ascontiguousarray(labels)

    def _window(
        self, image: UInt8Array, labels: np.ndarray, crop: tuple[int, int], rows: _Place, columns: _Place, ignore: int
    ) -> tuple[UInt8Array, np.ndarray]:
        """Resize, zoom and crop in one step: only the pixels of the result are computed."""
        box = (columns.start, rows.start, columns.end, rows.end)
        part, part_labels = resample(image, labels, box, (rows.length, columns.length))
        if (rows.length, columns.length) == crop:
            return part, part_labels
        padded = np.empty((*crop, image.shape[2]), dtype=np.uint8)
        padded[:] = self.fill
        padded_labels = np.full(crop, ignore, dtype=labels.dtype)
        inside = np.s_[rows.first : rows.first + rows.length, columns.first : columns.first + columns.length]
        padded[inside], padded_labels[inside] = part, part_labels
        return padded, padded_labels


@dataclass(frozen=True)
class _Place:
    """Source pixels ``start .. end`` fill places ``first .. first + length - 1`` of the crop."""

    start: float
    end: float
    first: int
    length: int


def _place(size: int, crop: int, scale: float, position: float) -> _Place:
    """Where a crop falls along one axis; ``position`` (0 to 1) chooses among the places where it fits."""
    reach = crop / scale
    if reach <= size:
        start = position * (size - reach)
        if scale == 1:  # whole pixels are not interpolated
            start = float(min(int(position * (size - crop + 1)), size - crop))
        return _Place(start, min(start + reach, float(size)), 0, crop)
    length = max(1, min(crop, round(size * scale)))
    return _Place(0.0, float(size), min(int(position * (crop - length + 1)), crop - length), length)


def resample(
    image: UInt8Array, labels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[UInt8Array, np.ndarray]:
    """The part ``box`` (left, top, right, bottom in pixels) brought to ``size``: bilinear, labels nearest."""
    left, top, right, bottom = box
    if (bottom - top, right - left) == size and top.is_integer() and left.is_integer():
        part = np.s_[int(top) : int(bottom), int(left) : int(right)]
        return image[part], labels[part]
    return resize_image(image, size, box), _resize_labels(labels, size, box)


def resize_image(
    image: UInt8Array, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> UInt8Array:
    """Bilinear, antialiased when shrinking (Pillow's ``BILINEAR``); any number of channels."""
    if image.shape[2] in (3, 4):
        return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR, box))
    channels = [
        np.asarray(Image.fromarray(image[:, :, i]).resize(size[::-1], Image.Resampling.BILINEAR, box))
        for i in range(image.shape[2])
    ]
    return np.stack(channels, axis=2)


def _resize_labels(labels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST, box))


def _change_colour(image: UInt8Array, factors: list[float]) -> UInt8Array:
    brightness, contrast, saturation = factors
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    mean = brightness * float(image.mean())
    table = ((np.arange(256) * brightness - mean) * contrast + mean).round().clip(0, 255).astype(int).tolist()
    picture = picture.point(table * image.shape[2])
    if image.shape[2] == 3:
        picture = ImageEnhance.Color(picture).enhance(saturation)
    changed = np.asarray(picture)
    return changed[:, :, None] if changed.ndim == 2 else changed
