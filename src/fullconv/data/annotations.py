"""What was annotated in an image, kept as it was made: masks, boxes, lines, points and tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from fullconv.images.orientation import SWAPS, upright

IGNORED = -1
"""The label of what has no class, and of what no annotation covers where nothing is named background."""
Kind = Literal["mask", "box", "line", "point", "tag"]
KINDS: tuple[Kind, ...] = ("mask", "box", "line", "point", "tag")
FEWEST_POINTS = 3
ELLIPSE_POINTS = 256


class StoredMask(Protocol):
    """A mask in a tool's own coding, decoded when it is drawn; picklable."""

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]`` of ``size``; ``where`` names file and entry in messages."""
        ...


@dataclass(frozen=True, eq=False)
class Annotation:
    """One thing that somebody marked.

    Attributes:
        label: class id, or :data:`IGNORED`.
        kind: what was drawn. What has an inside is a ``mask`` (outlines, ellipses, brushes), but for a ``box``; a
            ``line`` has none, a ``point`` is one place or several, a ``tag`` speaks of the whole image.
        geometry: arrays ``[n, 2]`` of x and y in pixels, from the image's upper left corner: the outlines of a mask
            (several are parts of it, added), the four corners of a box, a line's or the points' places.
        stored: a mask that is pixels; of other kinds, how the tool draws it.
        name: the tool's own word for the class.
        instance: which object of the image it belongs to; parts of one object have one number.
        group: the tool's own number of a group.
        crowd: it covers many objects together (COCO's ``iscrowd``).
        difficult, truncated: VOC's flags: hard to recognise; cut off by the image's border or by another object.
        drawn: whether the label map shows it: masks, and of the other kinds those that the tool itself draws.
    """

    label: int
    kind: Kind
    geometry: tuple[np.ndarray, ...] = ()
    stored: StoredMask | None = None
    name: str = ""
    instance: int | None = None
    group: int | None = None
    crowd: bool = False
    difficult: bool = False
    truncated: bool = False
    drawn: bool = False

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """Left, top, right and bottom of its geometry in pixels; None where it has none."""
        if not self.geometry:
            return None
        points = np.concatenate(self.geometry)
        (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
        return left, top, right, bottom

    def turned(self, size: tuple[int, int], orientation: int) -> Annotation:
        """On the image as it is shown, of an annotation of the pixels as stored, ``(height, width)`` of them."""
        if orientation == 1:
            return self
        geometry = tuple(upright_points(points, size, orientation) for points in self.geometry)
        stored = None if self.stored is None else _Upright(self.stored, size, orientation)
        return replace(self, geometry=geometry, stored=stored)


@dataclass(frozen=True)
class _Upright:
    """A mask of the pixels as stored, turned with them."""

    stored: StoredMask
    before: tuple[int, int]
    orientation: int

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        return upright(self.stored.decode(self.before, where), self.orientation)


def upright_points(points: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Places ``[n, 2]`` of x and y on an image of ``(height, width)``, where they are when it is shown upright."""
    x, y = points[:, 0], points[:, 1]
    height, width = size
    if orientation >= SWAPS:
        x, y, height, width = y, x, width, height
    if orientation in (3, 4, 7, 8):
        y = height - y
    if orientation in (2, 3, 6, 7):
        x = width - x
    return np.stack([x, y], 1)


def ring(points: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray | None:
    """An outline, or None where there are fewer than three points: it has no inside and is left out."""
    array = np.asarray(points, np.float64).reshape(-1, 2)
    return array if len(array) >= FEWEST_POINTS else None


def box_ring(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The four corners of a box, ``[4, 2]``."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def ellipse_ring(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """The outline of an ellipse, ``[256, 2]``; ``centre`` and ``radii`` are x and y in pixels."""
    turns = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)
    return np.array(centre) + np.stack([radii[0] * np.cos(turns), radii[1] * np.sin(turns)], 1)


def turned(points: np.ndarray, centre: tuple[float, float], degrees: float) -> np.ndarray:
    """Points ``[n, 2]`` turned about ``centre``, clockwise as seen on the screen (y points down)."""
    if not degrees:
        return points
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((points - np.array(centre)) @ turn + np.array(centre))


def in_words(counts: Counter[Kind]) -> str:
    """``3 boxes, 1 tag``."""
    plurals = {"box": "boxes"}
    kinds = [kind for kind in KINDS if counts[kind]]
    return ", ".join(f"{counts[kind]} {kind if counts[kind] == 1 else plurals.get(kind, kind + 's')}" for kind in kinds)


def kinds_of(annotations: Iterable[Annotation]) -> Counter[Kind]:
    """How many there are of each kind."""
    return Counter(annotation.kind for annotation in annotations)


def no_mask(found: str) -> str:
    """What is said of data without a mask; ``found`` says what it holds."""
    return f"found {found or 'no annotation'}, expected masks or outlines: no label map can be made of them"


MASK_THEM = "annotate masks, or export the outlines too"
"""What to do then."""
