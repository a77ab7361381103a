"""Label maps -> polygons with shared borders: neighbours are simplified together, so there is no gap and no overlap."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fullconv.errors import UsageError
from fullconv.gdal import without_georeference
from fullconv.libraries import library
from fullconv.polygons.merge import without_small
from fullconv.spec import ClassSet

TOLERANCE = 1.0
"""Pixels: steps of one pixel become slanted lines."""
FOR = "polygons"
STRIP_PIXELS = 1 << 20
"""Looked at together."""


class ClassPolygon(NamedTuple):
    """A connected piece of one class.

    Attributes:
        label: the id of its class.
        name: of its class.
        shape: a ``shapely.Polygon``, holes included; x to the right and y down in pixels, whose corners are whole
            numbers: the pixel at row ``r``, column ``c`` is the square from ``(c, r)`` to ``(c + 1, r + 1)``.
    """

    label: int
    name: str
    shape: Any


def trace(
    labels: np.ndarray,
    classes: ClassSet,
    tolerance: float = TOLERANCE,
    min_area: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> list[ClassPolygon]:
    """The pieces of a label map as polygons, one for each piece that is connected by edges of pixels.

    Borders are simplified as Visvalingam & Whyatt do, those that two pieces share once for both (GEOS's coverage
    simplification): corners that cut off less than ``tolerance ** 2`` pixels go, those where three pieces meet and
    those at the edge of the map stay. Together the polygons cover what has a label exactly once.

    Args:
        labels: ids ``[height, width]``. What is no class has no polygon.
        classes: of the ids. A class that is background has none either.
        tolerance: 0 gives the borders of the pixels.
        min_area: pixels; smaller pieces first become the neighbour with which they share the longest border.
        origin: row and column of the map's first pixel, where it is a part of a larger one.

    Raises:
        UsageError: a negative tolerance or area, or a package that is not installed.
    """
    shapely = library("shapely", FOR)
    ids = np.minimum(labels, len(classes)).astype(np.uint8 if len(classes) <= 255 else np.int32, copy=False)
    shapes, owners = traced(ids, len(classes), tolerance, min_area)
    shown = np.isin(owners, [index for index in range(len(classes)) if index != classes.background])
    moved = shapely.transform(shapes[shown], lambda xy: xy + origin[::-1])
    return [ClassPolygon(int(label), classes.names[label], s) for label, s in zip(owners[shown], moved, strict=True)]


def traced(ids: np.ndarray, void: int, tolerance: float, min_area: int) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`trace`, of any ids from 0, each piece of which has a polygon; ``void`` is the one of no class.

    Returns:
        Polygons, and the id of each.
    """
    check(tolerance, min_area)
    shapes, owners = _exact(without_small(ids, min_area, void))
    if tolerance:
        shapes = library("shapely", FOR).coverage_simplify(shapes, tolerance, simplify_boundary=False)
    return shapes, owners


def check(tolerance: float, min_area: int) -> None:
    """Refuse settings that cannot be, and missing packages.

    Raises:
        UsageError: one of them.
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise UsageError(f"the tolerance of polygons is a number of pixels from 0, found {tolerance}")
    if min_area < 0:
        raise UsageError(f"the smallest area of polygons is a number of pixels from 0, found {min_area}")
    for package in ("shapely", "rasterio"):
        library(package, FOR)


def _exact(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons along the pixels' edges, and the id of each; all have a corner wherever three pieces meet."""
    shapely, features = library("shapely", FOR), library("rasterio.features", FOR)
    corners, owners, labels = list[np.ndarray](), list[int](), list[int]()
    with without_georeference():
        for shape, label in features.shapes(ids, connectivity=4):
            corners += [np.array(ring, np.int32) for ring in shape["coordinates"]]
            owners += [len(labels)] * len(shape["coordinates"])
            labels.append(int(label))
    places = np.repeat(np.arange(len(corners)), [len(ring) for ring in corners])
    rings = shapely.segmentize(shapely.linearrings(np.concatenate(corners), indices=places), 1.0)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    kept = _corners(ids)[points[:, 1].astype(int), points[:, 0].astype(int)]
    shapes = shapely.polygons(shapely.linearrings(points[kept], indices=ring[kept]), indices=owners)
    return shapes, np.array(labels, int)


def _corners(ids: np.ndarray) -> np.ndarray:
    """Where more than one straight border passes between pixels, bool ``[height + 1, width + 1]``."""
    height, width = ids.shape
    corners = np.empty((height + 1, width + 1), bool)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height + 1, step):
        bottom = min(top + step, height + 1)
        rows = ids[max(top - 1, 0) : bottom].astype(np.int32)
        around = np.pad(rows, ((top == 0, bottom > height), (1, 1)), constant_values=-1)
        a, b, c, d = around[:-1, :-1], around[:-1, 1:], around[1:, :-1], around[1:, 1:]
        np.logical_not((a == b) & (c == d) | (a == c) & (b == d), out=corners[top:bottom])
    return corners


def without_holes(shape: Any) -> list[Any]:
    """A polygon as polygons without holes, cut from top to bottom through each hole; for formats that know none."""
    shapely = library("shapely", FOR)
    if not len(shape.interiors):
        return [shape]
    places = sorted(ring.coords[0][0] for ring in shape.interiors)
    left, top, right, bottom = shape.bounds
    cut = places[len(places) // 2]
    boxes = (shapely.box(left, top, cut, bottom), shapely.box(cut, top, right, bottom))
    parts: list[Any] = [part for box in boxes for part in shapely.get_parts(shapely.intersection(shape, box))]
    return [piece for part in parts if shapely.get_dimensions(part) == 2 for piece in without_holes(part)]
