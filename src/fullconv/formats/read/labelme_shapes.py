"""LabelMe's shapes -> annotations, with the pen that LabelMe draws them by."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fullconv.data.annotations import Annotation, Kind, box_ring, ellipse_ring, ring
from fullconv.data.drawing import most_of_a_mask
from fullconv.errors import DataError
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import open_image

LINE_WIDTH, POINT_RADIUS = 10, 5
CORNERS = 4
THIN = ("line", "linestrip", "point")
PEN = f"lines {LINE_WIDTH} pixels wide, points {POINT_RADIUS} around"
POINTS = {"rectangle": (2,), "circle": (2,), "line": (2,), "linestrip": range(2, 1 << 20), "point": (1,)}
"""How many points a shape may have."""
KINDS: dict[str, Kind] = {
    "polygon": "mask", "circle": "mask", "rectangle": "box", "line": "line", "linestrip": "line", "point": "point",
}  # fmt: skip
"""What each shape is, however it is drawn."""


def annotation_of(shape: dict[str, Any], label: int) -> Annotation | None:
    """A shape, with the pen of LabelMe's ``shape_to_mask``; None for a polygon of one or two points.

    Raises:
        TypeError, ValueError, IndexError, OverflowError: it is not of LabelMe's format.
    """
    kind = shape.get("shape_type") or "polygon"
    points = np.asarray(shape["points"], float).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate that is no number")
    if kind == "mask":
        return Annotation(label, "mask", (), PngMask(str(shape["mask"]), (float(points[0, 0]), float(points[0, 1]))))
    if kind == "polygon" or (kind == "rectangle" and len(points) == CORNERS):  # X-AnyLabeling writes all four
        outline = ring(points)
        return None if outline is None else Annotation(label, KINDS[kind], (outline,))
    if kind not in POINTS:
        raise ValueError(f"shape_type {kind!r}; known are polygon, mask, {', '.join(POINTS)}")
    if len(points) not in POINTS[kind]:
        raise ValueError(f"{len(points)} points for a {kind}")
    if kind == "rectangle":
        geometry = box_ring(*points.min(0), *points.max(0))
    elif kind == "circle":
        radius = math.dist(*points)
        geometry = ellipse_ring((float(points[0, 0]), float(points[0, 1])), (radius, radius))
    else:
        geometry = points
    pen = PenMask(kind, tuple((float(x), float(y)) for x, y in points))
    return Annotation(label, KINDS[kind], (geometry,), pen)


@dataclass(frozen=True)
class PenMask:
    """A shape that LabelMe draws with Pillow's own pen."""

    kind: str
    points: tuple[tuple[float, float], ...]

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]``."""
        picture = Image.new("1", (size[1], size[0]))
        pen, points = ImageDraw.Draw(picture), list(self.points)
        if self.kind == "rectangle":
            (left, right), (top, bottom) = (sorted(values) for values in zip(*points, strict=True))
            pen.rectangle((left, top, right, bottom), outline=1, fill=1)
        elif self.kind in ("line", "linestrip"):
            pen.line(points, fill=1, width=LINE_WIDTH)
        else:
            (x, y), *edge = points
            radius = math.dist(points[0], edge[0]) if edge else POINT_RADIUS
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
        return np.asarray(picture)


@dataclass(frozen=True)
class PngMask:
    """LabelMe 5's mask: a PNG in base64 of the box that begins at ``corner`` (x, y)."""

    text: str
    corner: tuple[float, float]

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]``; what lies outside the image is cut off.

        Raises:
            DataError: no PNG.
        """
        try:
            content = base64.b64decode(self.text)
        except ValueError as error:
            raise DataError(f"{where}: a mask that is not base64 ({error}); save it again") from error
        place = EncodedFile(content, f"{where}: a mask's PNG")
        with open_image(place, most_of_a_mask(size)) as picture:
            part = np.asarray(picture).astype(bool)
        left, top = (round(value) for value in self.corner)
        whole = np.zeros(size, bool)
        part = part[max(-top, 0) : max(size[0] - top, 0), max(-left, 0) : max(size[1] - left, 0)]
        top, left = max(top, 0), max(left, 0)
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        return whole
