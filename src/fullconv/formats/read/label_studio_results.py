"""Label Studio's results: regions, points and choices -> annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fullconv.data.annotations import IGNORED, Annotation, box_ring, ellipse_ring, ring, turned
from fullconv.errors import DataError
from fullconv.formats.read.exports import within_reach
from fullconv.formats.read.label_studio_rle import HEADER_BITS, BrushMask

DRAWN = ("polygonlabels", "brushlabels", "rectanglelabels", "ellipselabels", "labels")
POINT, TAG = "keypointlabels", "choices"


def labels_of(result: dict[str, Any]) -> list[str]:
    """The labels of a region; none for what is no labelled region."""
    kind, value = result.get("type"), result.get("value")
    if kind not in DRAWN or not isinstance(value, dict):
        return []
    names = value.get(kind) or value.get("labels")
    drawn = "points" in value or "rle" in value or "radiusX" in value or {"x", "y", "width", "height"} <= set(value)
    return [str(name) for name in names] if drawn and isinstance(names, list) else []


def other_labels(result: dict[str, Any]) -> list[str]:
    """The labels of a point, or what was chosen; none for other results."""
    kind, value = str(result.get("type")), result.get("value")
    if kind not in (POINT, TAG) or not isinstance(value, dict):
        return []
    names, there = value.get(kind), kind == TAG or {"x", "y"} <= set(value)
    return [str(name) for name in names] if there and isinstance(names, list) else []


def annotation_of(
    result: dict[str, Any], ids: Mapping[str, int], size: tuple[int, int], where: str
) -> Annotation | None:
    """A result, percents of the labelled image become pixels; None for what is no labelled region, point or tag.

    Args:
        ids: the class of each label; others are of none.
        size: ``(height, width)`` of the image.

    Raises:
        DataError: labelled at another size, or turned.
        KeyError, TypeError, ValueError: not of Label Studio's format.
    """
    names = labels_of(result) or other_labels(result)
    if not names:
        return None
    label, drawn = ids.get(names[0], IGNORED), result.get("type") in DRAWN
    if result.get("type") == TAG:
        return Annotation(label, "tag", name=names[0])
    found = _region(result, label, size, where)
    return None if found is None else replace(found, name=names[0], drawn=drawn)


def _region(result: dict[str, Any], label: int, size: tuple[int, int], where: str) -> Annotation | None:
    stated = (int(result["original_height"]), int(result["original_width"]))
    if stated != size:
        raise DataError(
            f"{where}: labelled at {stated[1]}x{stated[0]}, but the image is {size[1]}x{size[0]}; give the images that "
            "were labelled"
        )
    if result.get("image_rotation"):
        raise DataError(
            f"{where}: labelled with the image turned by {result['image_rotation']} degrees; turn the file, label again"
        )
    value, scale = result["value"], np.array([size[1], size[0]]) / 100
    if "rle" in value:
        brush = BrushMask(bytes(value["rle"]))
        if 8 * len(brush.packed) < HEADER_BITS:
            raise ValueError("a brush mask without a header")
        return Annotation(label, "mask", stored=brush)
    if "points" in value:
        outline = ring(np.array(value["points"], float).reshape(-1, 2) * scale)
        return None if outline is None else Annotation(label, "mask", (within_reach(outline),))
    x, y = (float(v) for v in np.array([value["x"], value["y"]], float) * scale)
    if result.get("type") == POINT:
        return Annotation(label, "point", (within_reach(np.array([(x, y)])),))
    turn = float(value.get("rotation") or 0)
    if "radiusX" in value:
        width, height = (float(v) for v in np.array([value["radiusX"], value["radiusY"]], float) * scale)
        outline = turned(ellipse_ring((x, y), (width, height)), (x, y), turn)
        return Annotation(label, "mask", (within_reach(outline),))
    width, height = (float(v) for v in np.array([value["width"], value["height"]], float) * scale)
    box = turned(box_ring(x, y, x + width, y + height), (x, y), turn)
    return Annotation(label, "box", (within_reach(box),))
