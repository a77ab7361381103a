"""Masks -> outlines that fill to the same pixels in tools that fill as Pillow and OpenCV do, the border included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

FEWEST = 3
"""Points of an outline."""


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Outlines without holes that together fill to the mask, none over another.

    Each goes through the middle of the mask's own border pixels, whose numbers its points are. A piece with holes, or
    one that would be filled otherwise, is cut in two, as often as it takes.

    Args:
        mask: bool ``[height, width]``.

    Returns:
        Arrays int ``[n, 2]`` of x and y, ``n`` at least 3.
    """
    return list(_outlines(mask, (0, 0)))


def _outlines(mask: np.ndarray, corner: tuple[int, int]) -> Iterator[np.ndarray]:
    """``corner`` is the row and column of the mask's first pixel."""
    from scipy import ndimage

    numbers, _ = ndimage.label(mask, np.ones((3, 3), bool))
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbers), 1):
        piece = numbers[rows, columns] == number
        place = corner[0] + rows.start, corner[1] + columns.start
        outline = _border(piece)
        if np.array_equal(_filled(outline, piece.shape), piece):
            yield outline + place[::-1]
            continue
        axis, at = _cut(piece)
        first, second = np.split(piece, [at], axis)
        yield from _outlines(first, place)
        yield from _outlines(second, (place[0] + at * (axis == 0), place[1] + at * (axis == 1)))


def _border(piece: np.ndarray) -> np.ndarray:
    """The outer border of a connected piece, pixel by pixel, less those on a straight way between two others."""
    from contourpy import contour_generator

    around = np.pad(piece, 1)
    # below a half: of two pixels that touch at a corner only, both are inside
    lines = contour_generator(z=around.astype(np.float32)).lines(0.49)
    way = max((np.asarray(line) for line in lines), key=lambda line: float(np.ptp(line, axis=0).sum()))
    low, high = np.floor(way).astype(int), np.ceil(way).astype(int)
    inside = around[high[:, 1], high[:, 0]]
    points = np.where(inside[:, None], high, low)[:-1] - 1  # a crossing lies between a pixel inside and one outside
    points = points[np.any(points != np.roll(points, 1, 0), axis=1)]
    steps = np.roll(points, -1, 0) - points
    points = points[np.any(steps != np.roll(steps, 1, 0), axis=1)] if len(points) > FEWEST else points
    if not len(points):
        points = np.argwhere(piece)[:1, ::-1]
    return np.concatenate([points, np.repeat(points[-1:], max(0, FEWEST - len(points)), 0)])


def _filled(outline: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    picture = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(picture).polygon([(int(x), int(y)) for x, y in outline], outline=1, fill=1)
    return np.asarray(picture)


def _cut(piece: np.ndarray) -> tuple[int, int]:
    """The axis and the place of a cut: through the first hole, else across the longer side."""
    from scipy import ndimage

    holes = ndimage.binary_fill_holes(piece) & ~piece
    if holes.any():
        columns = np.flatnonzero(holes.any(0))
        return 1, int(columns[len(columns) // 2])
    axis = int(piece.shape[1] > piece.shape[0])
    return axis, piece.shape[axis] // 2
