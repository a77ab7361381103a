"""PASCAL VOC's ``Annotations/*.xml``: boxes of objects and of their parts.

Format: the VOC2012 development kit. Coordinates there begin at 1 and name the first and the last pixel of a box; here a
box goes from edge to edge of pixels, and the image begins at 0.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fullconv.data.annotations import IGNORED, Annotation, box_ring
from fullconv.data.dataset import Item
from fullconv.data.sources import FileMask, changed
from fullconv.errors import DataError
from fullconv.formats.read.exports import within_reach
from fullconv.formats.read.xml import parse_xml

SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class MaskAndBoxes(FileMask):
    """A mask file, and the boxes of an XML file beside it, which are read when they are asked for."""

    notes: Path = field(kw_only=True)
    ids: Mapping[str, int] = field(kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        return (*super().files, self.notes)

    def annotations(self) -> tuple[Annotation, ...]:
        """The boxes.

        Raises:
            DataError: the XML file cannot be read.
        """
        return boxes_of(self.notes, parse_xml(self.notes, "VOC"), self.ids)


def boxes_of(path: Path, tree: ET.Element, ids: Mapping[str, int]) -> tuple[Annotation, ...]:
    """The objects of an XML file, each with the boxes of its parts behind it; ``ids`` has the class of each name.

    Raises:
        DataError: an object without a name, or without a box that has an inside.
    """
    found = []
    for number, thing in enumerate(tree.iterfind("object")):
        difficult, truncated = (thing.findtext(flag, "0").strip() == "1" for flag in ("difficult", "truncated"))
        found.append(replace(_box(path, number, thing, ids), difficult=difficult, truncated=truncated))
        found += [_box(path, number, part, ids) for part in thing.iterfind("part")]
    return tuple(found)


def _box(path: Path, number: int, thing: ET.Element, ids: Mapping[str, int]) -> Annotation:
    name, box = thing.findtext("name", "").strip(), thing.find("bndbox")
    try:
        if not name or box is None:
            raise ValueError("no name, or no bndbox")
        left, top, right, bottom = (float(box.findtext(side, "")) for side in SIDES)
        if right < left or bottom < top:
            raise ValueError("a box that ends before it begins")
        corners = within_reach(box_ring(left - 1, top - 1, right, bottom))
    except ValueError as error:
        raise DataError(f"{path}: object {number} cannot be read ({error}); correct it, or take it out") from error
    return Annotation(ids.get(name, IGNORED), "box", (corners,), name=name, instance=number)


def with_boxes(
    splits: Mapping[str, Sequence[Item]], folder: Path, names: Sequence[str], reasons: list[str]
) -> dict[str, Sequence[Item]]:
    """The same items, whose masks have the boxes of ``folder`` beside them as far as there are such files."""
    ids = {name: index for index, name in enumerate(names)}
    there = {path.stem: path for path in folder.glob("*.xml")}

    def beside(item: Item) -> Item:
        mask, notes = item.annotation, there.get(item.id)
        if notes is None or not isinstance(mask, FileMask):
            return item
        return replace(
            item, annotation=MaskAndBoxes(mask.path, mask.encoding, objects=mask.objects, notes=notes, ids=ids)
        )

    count = len({item.id for items in splits.values() for item in items} & set(there))
    if count:
        reasons.append(f"boxes of {count} files of {folder.name} are kept beside the masks; no label map shows them")
    return changed(splits, beside)
