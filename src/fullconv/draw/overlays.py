"""Labels -> colours, alone or over their image; by strips, so that memory stays that of the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from fullconv.draw.legend import Entry, legend
from fullconv.palette import Colour
from fullconv.spec import ClassSet

Picture = np.ndarray
"""uint8 ``[height, width, 3]``"""

IGNORED = (255, 255, 255)
OPACITY = 0.6
"""Of a class's colour: with less, colours of classes are hard to tell apart, with more what is below them is."""
STRIP_PIXELS = 1 << 20
"""Painted at a time."""
LOOKED_AT = 1 << 18
"""Pixels by which the legend knows how a class looks, about."""
GREY = 128
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in a grey (ITU-R BT.601, as Pillow has it): colours of things would look like others' classes
below a colour, so they are grey there."""
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
    opacity: float = OPACITY,
    only: Sequence[int] | None = None,
    with_legend: bool = False,
) -> Picture:
    """The classes' colours over the image, which is grey below them, each outlined in its full colour.

    Ignored pixels, the class that is background, and where ``only`` is given all other ids, show the image alone. A
    legend of the classes that are there goes below the picture, which then may also be wider than the image; its boxes
    are small regions, outlined in the class's colour and filled as the class looks in this picture.
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
    opacity: float = OPACITY,
    only: Sequence[int] | None = None,
    with_legend: bool = False,
) -> tuple[tuple[int, int], Iterator[Picture]]:
    """The size of :func:`overlay`'s picture, and its rows, a few at a time."""
    height, width = labels.shape
    painted = set(range(len(classes))) - {classes.background} if only is None else set(only)
    if not with_legend:
        return (height, width), _painted(image, labels, classes, opacity, painted)
    found, below_them = present(labels, len(classes)), _grounds(image, labels, len(classes))
    listed = []
    for index in found if only is None else [index for index in found if index in only]:
        colour = classes.palette[index]
        inside = mixed(colour, below_them[index], opacity)
        listed.append(Entry.of(classes.names[index], colour if index in painted else None, index, inside))
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


def mixed(colour: Colour, ground: np.ndarray | float, opacity: float) -> Colour:
    """How a class's colour looks over a ground of this colour, or grey."""
    red, green, blue = np.rint(opacity * np.array(colour) + (1 - opacity) * ground).astype(int).tolist()
    return red, green, blue


def _grounds(image: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The mean grey of the image below each class, ``[count, 1]``, by some of its pixels; a middle one if there are
    none."""
    step = 1 + math.isqrt(labels.size // LOOKED_AT)
    ids = np.minimum(labels[::step, ::step], count).ravel()
    pixels = as_rgb(image[::step, ::step]).reshape(-1, 3)
    numbers = np.bincount(ids, minlength=count + 1)[:count]
    sums = np.bincount(ids, np.rint(pixels @ LUMA), count + 1)[:count]
    return np.where(numbers, sums / np.maximum(numbers, 1), GREY)[:, None]


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
        over = Image.fromarray(colours.take(ids[inner], axis=0))
        base = Image.fromarray(np.ascontiguousarray(as_rgb(image[rows])))
        base.paste(base.convert("L").convert("RGB"), mask=Image.fromarray((strength > 0).astype(np.uint8) * 255))
        strength[outlines(ids, line)[inner] & (strength > 0)] = 255
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
