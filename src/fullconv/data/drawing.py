"""Annotations -> a label map, drawn as the tool that they come from draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageDraw

from fullconv.data.annotations import IGNORED, MASK_THEM, Annotation, Kind, in_words, kinds_of, no_mask
from fullconv.data.instances import Instance
from fullconv.errors import DataError
from fullconv.images.files import stored_size
from fullconv.images.formats import refuse_large
from fullconv.images.orientation import upright, upright_size

Tool = Literal["labelme", "coco"]
FILLED_BY: dict[Tool, str] = {"labelme": "Pillow", "coco": "pycocotools"}
"""The library that fills outlines as a tool does; other tools' outlines are filled by it, too."""
LARGEST_BOX = 4
"""Of a mask, in images."""


class NoMaskError(DataError):
    """A label map of annotations that make none: boxes, lines, points and tags alone."""


@runtime_checkable
class Outlines(Protocol):
    """Labels that are drawn."""

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the image that they were drawn on."""
        ...

    def turn(self) -> int:
        """How they are turned to be upright, as EXIF counts."""
        ...

    def kinds(self) -> frozenset[Kind]:
        """The kinds of annotations that there are, drawn or not."""
        ...


def stored_in_words(tool: Tool, drawn: bool) -> str:
    """How annotations are stored that a label map is drawn of, or none."""
    return f"outlines, filled by {FILLED_BY[tool]}" if drawn else "boxes, lines, points or tags, no masks"


def most_of_a_mask(size: tuple[int, int]) -> int:
    """Pixels that the box of one mask may have in an image of ``(height, width)``; boxes may lie partly outside."""
    return LARGEST_BOX * size[0] * size[1]


@dataclass(frozen=True)
class Annotations:
    """All that was annotated in one image; its label map is one view of it.

    The label map shows what is ``drawn``: masks, and of other kinds what the tool itself draws when it exports masks
    (a box as a filled rectangle, a line as a stroke); nothing else. Rules: a ring of one or two points is left out by
    whoever reads it (:func:`fullconv.data.annotations.ring`); what lies outside the image is cut off; a ring that
    crosses itself is filled as the tool fills it; they overlap in order (later over earlier)
    or by area (smaller over larger).

    Attributes:
        where: file and entry, for messages.
        size: ``(height, width)``.
        items: in the order of the file, or of the layers that the tool draws.
        tool: whose rasteriser: ``labelme`` (Pillow's polygon, outline included), ``coco`` (pycocotools).
        background: class id of what nothing covers, or :data:`IGNORED`.
        overlap: ``order`` or ``area``.
        image: the file that was labelled. Where ``size`` is that of its pixels as stored and EXIF turns them to
            another, the outlines were drawn on the pixels as stored, and are turned with them; else they were drawn on
            the image as it is shown.
        has_label_map: False where no image of the data set has anything that is drawn.
    """

    where: str
    size: tuple[int, int]
    items: tuple[Annotation, ...]
    tool: Tool = "coco"
    background: int = 0
    overlap: Literal["order", "area"] = "order"
    image: Path | None = None
    has_label_map: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, which says how they are turned; the outlines are in memory."""
        return () if self.image is None else (self.image,)

    def stored_as(self) -> str:
        return stored_in_words(self.tool, self.has_label_map)

    def kinds(self) -> frozenset[Kind]:
        return frozenset(item.kind for item in self.items)

    def annotations(self) -> tuple[Annotation, ...]:
        """All of them, on the image as it is shown."""
        turn = self.turn()
        return tuple(item.turned(self.size, turn) for item in self.items)

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it.

        Raises:
            NoMaskError: there is nothing to draw in any image of the data set.
            DataError: a mask that cannot be decoded.
        """
        if not self.has_label_map:
            raise NoMaskError(f"{self.where}: {no_mask(in_words(kinds_of(self.items)))}; {MASK_THEM}")
        refuse_large(self.where, self.size)  # it may come from a list, not from the image
        labels = np.full(self.size, _id(self.background, ignore_index), np.int32)
        for item, mask in self._drawn():
            labels[mask] = _id(item.label, ignore_index)
        return upright(labels.astype(np.uint8 if ignore_index <= 255 else np.int32), self.turn())

    @property
    def has_instances(self) -> bool:
        return self.has_label_map

    def instances(self) -> tuple[Instance, ...]:
        """Everything that is drawn; parts with one number and class are one object, at the last one's place."""
        turn, found = self.turn(), dict[object, Instance]()
        for item, mask in self._drawn():
            key = object() if item.instance is None else (item.instance, item.label)
            before = found.pop(key, None)
            whole = upright(mask, turn)
            whole = whole if before is None else whole | before.mask
            found[key] = Instance(item.label, whole, item.crowd or (before is not None and before.crowd))
        return tuple(found.values())

    def _drawn(self) -> list[tuple[Annotation, np.ndarray]]:
        """What the label map shows, the uppermost last, each with its mask on the pixels as stored."""
        masks = [(item, self.mask(item)) for item in self.items if item.drawn]
        if self.overlap == "area":
            masks.sort(key=lambda pair: -int(pair[1].sum()))  # stable: of equal ones the later lies above
        return masks

    def turn(self) -> int:
        """How the labels are turned to be upright, as EXIF counts."""
        return turn_of(self.size, self.image)

    def mask(self, item: Annotation) -> np.ndarray:
        """Where one of the items is as the tool draws it, bool ``[height, width]`` of :attr:`size`."""
        if item.stored is not None:
            return item.stored.decode(self.size, self.where)
        return _FILL[self.tool](item.geometry, self.size)


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
