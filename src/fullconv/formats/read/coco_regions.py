"""The regions of an image of COCO's JSON files, packed into a few arrays."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.annotations import FEWEST_POINTS, Annotation, Kind, box_ring, ring
from fullconv.data.drawing import Annotations, stored_in_words, turn_of
from fullconv.data.instances import Instance
from fullconv.errors import DataError, first_few

FARTHEST = 1e6
"""Largest coordinate in pixels: pycocotools walks along every outline, however far it goes."""

Mask = tuple[int, int, "bytes | np.ndarray"]


@dataclass(frozen=True, eq=False, slots=True)
class CocoLabels:
    """The annotations of one image, packed: 860,000 regions of COCO's train2017 take about 0.6 GB.

    Attributes:
        source, name: the JSON file and the image, for messages.
        size: ``(height, width)``.
        labels: int32 ``[annotations]``, the class id of each.
        ids: int64 ``[annotations]``, the file's own number of each, -1 for none.
        crowds: bool ``[annotations]``.
        boxes: float64 ``[annotations, 4]``: left, top, width and height; nan for none.
        rings: int32 ``[rings, 2]``: the annotation that an outline belongs to, and how many numbers it has.
        numbers: float64, the outlines' x, y, x, y, ... one after the other.
        masks: for those given as run lengths: height, width, and counts (compressed, or int64 runs).
        image: the file.
        names: the name of each class.
        has_label_map: False where no annotation of the JSON file has an outline or a mask.
    """

    source: str
    name: str
    size: tuple[int, int]
    labels: np.ndarray
    ids: np.ndarray
    crowds: np.ndarray
    boxes: np.ndarray
    rings: np.ndarray
    numbers: np.ndarray
    masks: dict[int, Mask]
    image: Path | None = None
    names: tuple[str, ...] = ()
    has_label_map: bool = True

    def drawing(self) -> Annotations:
        """The regions as pycocotools draws them, smaller over larger, over the background (0); boxes are not drawn."""
        outlines: dict[int, list[np.ndarray]] = {}
        start = 0
        for place, count in self.rings.tolist():
            outline = ring(self.numbers[start : start + count])
            assert outline is not None
            outlines.setdefault(place, []).append(outline)
            start += count
        items = tuple(self._annotation(place, tuple(outlines.get(place, ()))) for place in range(len(self.labels)))
        return Annotations(self.where, self.size, items, "coco", 0, "area", self.image, self.has_label_map)

    def _annotation(self, place: int, outlines: tuple[np.ndarray, ...]) -> Annotation:
        stored = RunLengths(self.masks[place][2]) if place in self.masks else None
        kind: Kind = "mask" if outlines or stored else "box"
        label, number = int(self.labels[place]), int(self.ids[place])
        if kind == "box":
            left, top, width, height = self.boxes[place].tolist()
            outlines = (box_ring(left, top, left + width, top + height),)
        return Annotation(
            label, kind, outlines, stored, self.names[label], place if number < 0 else number,
            crowd=bool(self.crowds[place]), drawn=kind == "mask",
        )  # fmt: skip

    def kinds(self) -> frozenset[Kind]:
        """Masks and boxes, as far as there are any."""
        masks = len({*self.rings[:, 0].tolist(), *self.masks})
        there: dict[Kind, bool] = {"mask": masks > 0, "box": masks < len(self.labels)}
        return frozenset(kind for kind, found in there.items() if found)

    def annotations(self) -> tuple[Annotation, ...]:
        """All of them, on the image as it is shown."""
        return self.drawing().annotations()

    @property
    def has_instances(self) -> bool:
        return self.has_label_map

    def instances(self) -> tuple[Instance, ...]:
        """As :meth:`fullconv.data.drawing.Annotations.instances`."""
        return self.drawing().instances()

    def turn(self) -> int:
        """How they are turned to be upright, as EXIF counts."""
        return turn_of(self.size, self.image)

    @property
    def where(self) -> str:
        return f"{self.source}: image {self.name}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, which says how they are turned; the regions are in memory."""
        return () if self.image is None else (self.image,)

    def stored_as(self) -> str:
        return stored_in_words("coco", self.has_label_map)

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``; see :meth:`fullconv.data.drawing.Annotations.label_map`."""
        return self.drawing().label_map(num_classes, ignore_index)


@dataclass(frozen=True)
class RunLengths:
    """COCO's mask: counts of pixels outside and inside in turn, column by column; compressed, or int64 ``[runs]``."""

    counts: bytes | np.ndarray

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]``.

        Raises:
            DataError: they cannot be decoded.
        """
        lengths = np.array(runs(self.counts) if isinstance(self.counts, bytes) else self.counts, np.int64)
        if lengths.min(initial=0) < 0 or lengths.sum() != size[0] * size[1]:
            raise DataError(
                f"{where}: a run-length mask of {int(lengths.sum())} pixels for {size[1]}x{size[0]}; export it again"
            )
        return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size[1], size[0]).T


def runs(counts: bytes) -> list[int]:
    """The run lengths of a compressed string, none if it is damaged.

    Five bits a character, the lowest first; bit 5 says that more follow, bit 4 of the last is the sign. From the fourth
    on a run is given by its difference to the one before the last. pycocotools itself would read a string that is too
    short as what happens to lie in memory.
    """
    found: list[int] = []
    value = shift = 0
    for character in counts:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 30:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = shift = 0
    return found


@dataclass
class Regions:
    """The regions of one image while the file is read: categories, and the rest as :class:`CocoLabels` has it."""

    categories: array[int] = field(default_factory=lambda: array("q"))
    rings: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))
    masks: dict[int, Mask] = field(default_factory=dict)
    ids: array[int] = field(default_factory=lambda: array("q"))
    crowds: array[int] = field(default_factory=lambda: array("b"))
    boxes: array[float] = field(default_factory=lambda: array("d"))
    short: int = 0
    """Outlines of fewer than three points."""

    @property
    def boxes_alone(self) -> bool:
        """Whether there are annotations, and none of them has an outline or a mask."""
        return bool(self.categories) and not (self.rings or self.masks)

    def add(self, entry: Mapping[str, Any]) -> Kind | None:
        """Add an annotation of COCO's format; what it is kept as, None where it has neither an inside nor a box.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it is not of that format.
        """
        shape, box = entry.get("segmentation") or [], entry.get("bbox")
        region, kept = len(self.categories), False
        if isinstance(shape, dict):
            height, width = (int(side) for side in shape["size"])
            counts = shape["counts"]
            packed = counts.encode("ascii") if isinstance(counts, str) else np.array(counts, np.int64)
            self.masks[region], kept = (height, width, packed), True
        else:
            for outline in shape:
                if not isinstance(outline, list) or len(outline) % 2:
                    raise ValueError("not x, y, x, y, ...")
                if len(outline) >= 2 * FEWEST_POINTS:
                    self.numbers.extend(outline)
                    self.rings.extend((region, len(outline)))
                    kept = True
                else:
                    self.short += 1
        sides = [float(side) for side in box] if isinstance(box, list) and len(box) == 4 else []
        if not kept and not (sides and min(sides[2:]) > 0):
            return None
        self.categories.append(entry["category_id"])
        number = entry.get("id")
        self.ids.append(number if isinstance(number, int) else -1)
        self.crowds.append(bool(entry.get("iscrowd")))
        self.boxes.extend(sides or [math.nan] * 4)
        return "mask" if kept else "box"

    def pack(
        self, source: str, name: str, size: tuple[int, int], ids: dict[int, int], image: Path, names: tuple[str, ...],
        has_label_map: bool,
    ) -> CocoLabels:  # fmt: skip
        """As labels; ``ids`` the class of each category, ``names`` the name of each class.

        Raises:
            DataError: a category that has no class, or a coordinate that cannot be drawn.
        """
        strange = [str(category) for category in dict.fromkeys(self.categories) if category not in ids]
        if strange:
            raise DataError(
                f"{source}: image {name} has annotations of category_id {first_few(strange)}, which its categories do "
                "not list; add it there"
            )
        numbers, boxes = np.array(self.numbers, np.float64), np.array(self.boxes, np.float64).reshape(-1, 4)
        alone = np.setdiff1d(np.arange(len(boxes)), [*self.rings[::2], *self.masks])  # boxes without an outline
        if not (np.all(np.abs(numbers) < FARTHEST) and np.all(np.abs(boxes[alone]) < FARTHEST)):  # also for nan
            raise DataError(
                f"{source}: image {name} has an outline or a box with a coordinate that is not a number, or beyond "
                f"{FARTHEST:.0f} pixels; correct it, or take the annotation out"
            )
        other = next((mask for mask in self.masks.values() if mask[:2] != size), None)
        if other:
            raise DataError(
                f"{source}: image {name} of {size[1]}x{size[0]} has a mask of {other[1]}x{other[0]}; export it again"
            )
        labels = np.array([ids[category] for category in self.categories], np.int32)
        rings = np.array(self.rings, np.int32).reshape(-1, 2)
        return CocoLabels(
            source, name, size, labels, np.array(self.ids, np.int64), np.array(self.crowds, bool), boxes, rings,
            numbers, self.masks, image, names, has_label_map,
        )  # fmt: skip
