"""Outlines and run-length masks -> label maps, drawn as the tool that they come from draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageDraw

from fullconv.images.files import stored_size
from fullconv.images.formats import refuse_large
from fullconv.images.orientation import upright, upright_size

IGNORED = -1
"""The label of a region (or of the rest) whose pixels have no class."""

Tool = Literal["labelme", "coco"]
FEWEST_POINTS = 3
ELLIPSE_POINTS = 256
LARGEST_BOX = 4
"""Of a mask, in images."""


class StoredMask(Protocol):
    """A mask in a tool's own coding, decoded when it is drawn; picklable."""

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]`` of ``size``; ``where`` names file and entry in messages."""
        ...


@runtime_checkable
class Outlines(Protocol):
    """Labels that are drawn."""

    def turn(self) -> int:
        """How they are turned to be upright, as EXIF counts."""
        ...


@dataclass(frozen=True)
class Region:
    """One annotated region.

    Attributes:
        label: class id, or :data:`IGNORED`.
        rings: outlines ``[points, 2]`` of x and y in pixels; several are parts of one region, added.
        stored: instead of rings, a mask.
    """

    label: int
    rings: tuple[np.ndarray, ...] = ()
    stored: StoredMask | None = None


def most_of_a_mask(size: tuple[int, int]) -> int:
    """Pixels that the box of one mask may have in an image of ``(height, width)``; boxes may lie partly outside."""
    return LARGEST_BOX * size[0] * size[1]


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


@dataclass(frozen=True)
class Drawing:
    """The label map of one image, from its regions.

    Rules: a ring of one or two points is left out by whoever reads it (:func:`ring`); what lies outside the image is
    cut off; a ring that crosses itself is filled as the tool fills it; regions overlap in order (later over earlier)
    or by area (smaller over larger).

    Attributes:
        where: file and entry, for messages.
        size: ``(height, width)``.
        regions: in the order of the file.
        tool: whose rasteriser: ``labelme`` (Pillow's polygon, outline included), ``coco`` (pycocotools).
        background: class id of what no region covers, or :data:`IGNORED`.
        overlap: ``order`` or ``area``.
        image: the file that was labelled. Where ``size`` is that of its pixels as stored and EXIF turns them to
            another, the outlines were drawn on the pixels as stored, and are turned with them; else they were drawn on
            the image as it is shown.
    """

    where: str
    size: tuple[int, int]
    regions: tuple[Region, ...]
    tool: Tool = "coco"
    background: int = 0
    overlap: Literal["order", "area"] = "order"
    image: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, which says how they are turned; the outlines are in memory."""
        return () if self.image is None else (self.image,)

    def stored_as(self) -> str:
        return f"outlines, drawn as {self.tool} does"

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it.

        Raises:
            DataError: a mask that cannot be decoded.
        """
        refuse_large(self.where, self.size)  # it may come from a list, not from the image
        labels = np.full(self.size, _id(self.background, ignore_index), np.int32)
        masks = [(region.label, self.mask(region)) for region in self.regions]
        if self.overlap == "area":
            masks.sort(key=lambda pair: -int(pair[1].sum()))  # stable: of equal ones the later lies above
        for label, mask in masks:
            labels[mask] = _id(label, ignore_index)
        return upright(labels.astype(np.uint8 if ignore_index <= 255 else np.int32), self.turn())

    def turn(self) -> int:
        """How the labels are turned to be upright, as EXIF counts."""
        return turn_of(self.size, self.image)

    def mask(self, region: Region) -> np.ndarray:
        """Where one region is, bool ``[height, width]``."""
        if region.stored is not None:
            return region.stored.decode(self.size, self.where)
        return _FILL[self.tool](region.rings, self.size)


def turn_of(size: tuple[int, int], image: Path | None) -> int:
    """How labels of ``size`` are turned to be upright: as their image, if that has this size only as it is stored."""
    if image is None:
        return 1
    stored, orientation = stored_size(image)
    return orientation if size == stored != upright_size(stored, orientation) else 1


def fill_as_labelme(rings: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Pillow's polygon with its outline, as LabelMe exports masks."""
    picture = Image.new("1", (size[1], size[0]))
    pen = ImageDraw.Draw(picture)
    for points in rings:
        pen.polygon([(float(x), float(y)) for x, y in points], outline=1, fill=1)
    return np.asarray(picture)


def fill_as_coco(rings: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """pycocotools' polygon, as COCO's own tools and CVAT's export draw."""
    from pycocotools import mask as coco

    mask = np.zeros(size, bool)
    for points in rings:
        found = coco.decode(coco.frPyObjects([[float(v) for v in points.ravel()]], size[0], size[1]))
        mask |= np.asarray(found)[..., 0].astype(bool)
    return mask


_FILL: dict[str, Callable[[Sequence[np.ndarray], tuple[int, int]], np.ndarray]] = {
    "labelme": fill_as_labelme,
    "coco": fill_as_coco,
}


def _id(label: int, ignore_index: int) -> int:
    return ignore_index if label == IGNORED else label
