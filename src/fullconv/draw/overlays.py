"""Labels -> colours, alone or over their image; by strips, so that memory stays that of the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from fullconv.draw.legend import Entry, legend
from fullconv.spec import ClassSet

Picture = np.ndarray
"""uint8 ``[height, width, 3]``"""

IGNORED = (255, 255, 255)
STRIP_PIXELS = 1 << 20
"""Painted at a time."""
LINE_SHARE = 1500
"""An outline has a pixel on either side, and one more for every so many pixels of the picture's longer side."""


def colorize(labels: np.ndarray, classes: ClassSet) -> Picture:
    """Ids ``[h, w]`` in the classes' colours; ignored pixels are white."""
    table = np.array([*classes.palette, IGNORED], dtype=np.uint8)
    coloured: Picture = table[np.minimum(labels, len(classes))]
    return coloured


def as_rgb(image: np.ndarray) -> Picture:
    """An image ``[h, w, c]`` of any number of channels as something to look at: its first three, or its grey."""
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    classes: ClassSet,
    opacity: float = 0.5,
    only: Sequence[int] | None = None,
    with_legend: bool = False,
) -> Picture:
    """The classes' colours over the image, each outlined in its full colour.

    Ignored pixels, the class that is background, and where ``only`` is given all other ids, show the image alone. A
    legend of the classes that are there goes below the picture, which then may also be wider than the image.
    """
    (height, width), strips = overlay_strips(image, labels, classes, opacity, only, with_legend)
    result, top = np.empty((height, width, 3), np.uint8), 0
    for strip in strips:
        result[top : top + len(strip)] = strip
        top += len(strip)
    return result


def overlay_strips(
    image: np.ndarray,
    labels: np.ndarray,
    classes: ClassSet,
    opacity: float = 0.5,
    only: Sequence[int] | None = None,
    with_legend: bool = False,
) -> tuple[tuple[int, int], Iterator[Picture]]:
    """The size of :func:`overlay`'s picture, and its rows, a few at a time."""
    height, width = labels.shape
    painted = set(range(len(classes))) - {classes.background} if only is None else set(only)
    if not with_legend:
        return (height, width), _painted(image, labels, classes, opacity, painted)
    listed = [
        Entry.of(classes.names[index], classes.palette[index] if index in painted else None, index)
        for index in present(labels, len(classes))
        if only is None or index in only
    ]
    below = np.asarray(legend(listed, width, max(height, width)))
    size = (height + below.shape[0], max(width, below.shape[1]))

    def rows() -> Iterator[Picture]:
        for strip in _painted(image, labels, classes, opacity, painted):
            yield _widened(strip, size[1])
        yield _widened(below, size[1])

    return size, rows()


def present(labels: np.ndarray, count: int) -> list[int]:
    """The ids below ``count`` that are in ``labels``."""
    found = np.zeros(count + 1, bool)
    for rows in _strips(*labels.shape):
        found[np.minimum(labels[rows], count)] = True
    return [int(index) for index in np.flatnonzero(found[:count])]


def _strips(height: int, width: int) -> Iterator[slice]:
    step = max(1, STRIP_PIXELS // max(width, 1))
    return (slice(top, min(height, top + step)) for top in range(0, height, step))


def _painted(
    image: np.ndarray, labels: np.ndarray, classes: ClassSet, opacity: float, painted: set[int]
) -> Iterator[Picture]:
    height, width = labels.shape
    line = 1 + max(height, width) // LINE_SHARE
    colours = np.array([*classes.palette, IGNORED], dtype=np.uint8)
    strengths = np.zeros(len(classes) + 1, np.uint8)
    strengths[sorted(painted)] = round(255 * opacity)
    for rows in _strips(height, width):
        first, last = max(0, rows.start - line), min(height, rows.stop + line)
        ids = np.minimum(labels[first:last], len(classes))
        inner = slice(rows.start - first, rows.stop - first)
        strength = strengths.take(ids[inner])
        strength[outlines(ids, line)[inner] & (strength > 0)] = 255
        over = Image.fromarray(colours.take(ids[inner], axis=0))
        base = Image.fromarray(np.ascontiguousarray(as_rgb(image[rows])))
        yield np.asarray(Image.composite(over, base, Image.fromarray(strength)))


def outlines(ids: np.ndarray, line: int) -> np.ndarray:
    """Where a border between two ids ``[h, w]`` has the pixel among the ``line`` on either side of it."""
    edges = np.zeros(ids.shape, bool)
    down, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    for part, change in ((edges[1:], down), (edges[:-1], down), (edges[:, 1:], right), (edges[:, :-1], right)):
        part |= change
    grown = 0
    while grown < line - 1:  # twice as far each time
        step = min(grown + 1, line - 1 - grown)
        for turned in (edges, edges.T):
            before = turned.copy(order="K")
            turned[step:] |= before[:-step]
            turned[:-step] |= before[step:]
        grown += step
    return edges


def _widened(picture: Picture, width: int) -> Picture:
    missing = width - picture.shape[1]
    return np.pad(picture, ((0, 0), (0, missing), (0, 0)), constant_values=255) if missing else picture
