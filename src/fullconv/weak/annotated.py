"""What an image was annotated with, and its annotations as boxes, strokes and tags in whole pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from fullconv.data.annotations import IGNORED, Annotation
from fullconv.data.dataset import AnnotationSource
from fullconv.data.drawing import Outlines
from fullconv.data.mixing import Relabelled
from fullconv.weak.drawn import WIDTH, Box

Kind = Literal["masks", "boxes", "tags", "scribbles", "points"]
"""What one image teaches with."""
Sort = Literal["outside", "cut", "empty", "classless", "conflict"]
"""What may be wrong with an annotation."""
Report = Callable[[Sort, str], None]
"""Takes what is wrong with an annotation, and its class or kind."""


def outlines_of(source: AnnotationSource) -> Outlines | None:
    """The annotations that are drawn, behind the ids of a mixture; None for a mask file or the like."""
    while isinstance(source, Relabelled):
        source = source.annotation
    return source if isinstance(source, Outlines) else None


def has_mask(source: AnnotationSource) -> bool:
    """Whether its label map is one of masks: a mask file, outlines, or nothing at all where others have outlines; not
    boxes, lines and points that a tool draws too.
    """
    drawn = outlines_of(source)
    if drawn is None or not source.has_label_map:
        return source.has_label_map
    kinds = drawn.kinds()
    return "mask" in kinds or not kinds


def marked_with(source: AnnotationSource) -> tuple[Kind, ...]:
    """The kinds of less than masks that an image was annotated with, the one that says most first.

    Points of an object that has a box (a pose) are a part of that.

    Raises:
        DataError: the annotations cannot be read.
    """
    drawn = outlines_of(source)
    kinds = drawn.kinds() if drawn is not None else {one.kind for one in source.annotations()}
    found: list[Kind] = []
    if "line" in kinds:
        found.append("scribbles")
    if "point" in kinds and not ("box" in kinds and _poses(source.annotations())):
        found.append("points")
    if "box" in kinds:
        found.append("boxes")
    if "tag" in kinds:
        found.append("tags")
    return tuple(found)


def _poses(annotations: Iterable[Annotation]) -> bool:
    boxed = {one.instance for one in annotations if one.kind == "box"}
    return all(one.instance is not None and one.instance in boxed for one in annotations if one.kind == "point")


def ignored(sort: Sort, name: str) -> None:
    """A report that nobody reads."""


def tags_in(annotations: Iterable[Annotation], report: Report = ignored) -> frozenset[int]:
    """The classes that the image's tags name; where it has no tag, those of its other annotations."""
    every = list(annotations)
    tags = [one for one in every if one.kind == "tag"] or every
    for tag in tags:
        if tag.label == IGNORED:
            report("classless", tag.name)
    return frozenset(tag.label for tag in tags if tag.label != IGNORED)


def boxes_in(
    annotations: Sequence[Annotation], size: tuple[int, int], where: str, report: Report = ignored
) -> tuple[Box, ...]:
    """The boxes of an image of ``(height, width)``, cut off at its border; of masks, each object's bounding box.

    A pixel belongs to a box that holds its centre. Boxes of crowds, and of no class, are of class -1; a part of an
    object that has a box of its own (VOC's heads and hands) is left out.
    """
    objects = {one.instance for one in annotations if one.kind in ("box", "mask") and one.label != IGNORED}
    found = []
    masks: dict[int, list[Annotation]] = {}
    for number, one in enumerate(annotations):
        if one.label == IGNORED and one.instance is not None and one.instance in objects:
            continue
        if one.kind == "mask":
            masks.setdefault(-1 - number if one.instance is None else one.instance, []).append(one)
        elif one.kind == "box" and (box := _pixels(one, size, report)):
            found.append(box)
    for parts in masks.values():
        if box := _around(parts, size, where):
            found.append(box)
    return tuple(found)


def _pixels(one: Annotation, size: tuple[int, int], report: Report) -> Box | None:
    """A box in pixels, or None where it has none within the image; what is wrong with it is reported."""
    corners, bounds = one.geometry[0], one.bounds
    assert bounds is not None  # a box has corners
    name = one.name or f"class {one.label}"
    x, y = corners[:, 0], corners[:, 1]
    area = float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    if area <= 0:  # clockwise from the upper left: one that ends before it begins runs the other way
        report("empty", name)
        return None
    left, top, right, bottom = (math.ceil(side - 0.5) for side in bounds)
    inside = max(left, 0), max(top, 0), min(right, size[1]), min(bottom, size[0])
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        report("empty" if left >= right or top >= bottom else "outside", name)
        return None
    if min(bounds) < -1 or bounds[2] > size[1] + 1 or bounds[3] > size[0] + 1:  # a pixel over is rounding
        report("cut", name)
    label = IGNORED if one.crowd else one.label
    if one.label == IGNORED:
        report("classless", one.name)
    return Box(label, *inside)


def _around(parts: Sequence[Annotation], size: tuple[int, int], where: str) -> Box | None:
    """The bounding box of an object's masks, within the image."""
    sides = []
    for part in parts:
        if part.stored is not None:
            rows, columns = (np.flatnonzero(part.stored.decode(size, where).any(axis)) for axis in (1, 0))
            if len(rows):
                sides.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
        elif part.bounds is not None:
            left, top, right, bottom = part.bounds
            sides.append((math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)))
    if not sides:
        return None
    left, top = (max(0, min(side[i] for side in sides)) for i in (0, 1))
    right, bottom = (min(size[1 - i], max(side[2 + i] for side in sides)) for i in (0, 1))
    label = IGNORED if any(part.crowd for part in parts) else parts[0].label
    return Box(label, left, top, right, bottom) if left < right and top < bottom else None


def strokes_in(
    annotations: Iterable[Annotation], kind: Kind, size: tuple[int, int], where: str, report: Report = ignored
) -> np.ndarray:
    """The class of each pixel that a stroke or point covers, int32 ``[height, width]``; elsewhere -1.

    Lines are drawn 3 pixels wide and points as squares of 3x3, whatever the tool; what is painted (a mask of pixels) is
    as it is. Where strokes of different classes lie over each other nothing is said.

    Args:
        kind: ``scribbles``: lines, points and what is painted; ``points``: points alone.
    """
    labels = np.full(size, IGNORED, np.int32)
    clash = np.zeros(size, bool)
    for one in annotations:
        if one.kind != "point" and (kind == "points" or (one.kind != "line" and one.stored is None)):
            continue
        if one.kind not in ("line", "point", "mask"):
            continue
        if one.label == IGNORED:
            report("classless", one.name)
            continue
        name = one.name or f"class {one.label}"
        part, mask = _painted(one, size, where)
        if not mask.any():
            report("outside", name)
            continue
        before = labels[part]
        clash[part] |= mask & (before != IGNORED) & (before != one.label)
        before[mask] = one.label
    if clash.any():
        report("conflict", f"{int(clash.sum())} pixels")
    labels[clash] = IGNORED
    return labels


def _painted(one: Annotation, size: tuple[int, int], where: str) -> tuple[tuple[slice, slice], np.ndarray]:
    """A stroke as a part of the image, and the pixels of it that it covers."""
    if one.kind == "mask" and one.stored is not None:
        return np.s_[:, :], one.stored.decode(size, where)
    points = np.concatenate(one.geometry)
    low = np.floor(points.min(0)).astype(int) - WIDTH
    high = np.floor(points.max(0)).astype(int) + WIDTH + 1
    left, top = (max(0, int(value)) for value in low)
    right, bottom = (max(0, min(int(value), side)) for value, side in zip(high, size[::-1], strict=True))
    part = np.s_[top:bottom, left:right]
    if left >= right or top >= bottom:
        return np.s_[:0, :0], np.zeros((0, 0), bool)
    picture = Image.new("1", (right - left, bottom - top))
    pen = ImageDraw.Draw(picture)
    for line in one.geometry:
        places = [(int(x) - left, int(y) - top) for x, y in np.floor(line).tolist()]
        if one.kind == "line" and len(places) > 1:
            pen.line(places, fill=1, width=WIDTH, joint="curve")
        for x, y in places if one.kind == "point" or len(places) == 1 else ():
            pen.rectangle((x - WIDTH // 2, y - WIDTH // 2, x + WIDTH // 2, y + WIDTH // 2), fill=1)
    return part, np.asarray(picture)
