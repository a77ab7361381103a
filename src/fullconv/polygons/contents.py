"""What files hold of polygons: GeoJSON, QuPath's, COCO's, LabelMe's and YOLO's ways to say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fullconv.libraries import library
from fullconv.polygons.trace import FOR, ClassPolygon, without_holes
from fullconv.spec import ClassSet

Entry = dict[str, Any]
ENDINGS = {
    "geojson": ".geojson", "gpkg": ".gpkg", "coco": "", "labelme": ".json", "yolo": ".txt", "qupath": ".geojson"
}  # fmt: skip
"""Of each format the end of its files' names; COCO's is one file for all images."""
DECIMALS = 9
"""Of degrees: a tenth of a millimetre."""
LABELME = "5.5.0"
"""The version whose files these are like."""
BACKGROUND, UNLABELLED = "_background_", "__ignore__"
"""LabelMe's own classes."""


def geojson(found: Sequence[ClassPolygon], shapes: Sequence[Any] | None = None, decimals: int = DECIMALS) -> Entry:
    """A FeatureCollection as RFC 7946 has it: rings closed, the outer one against the clock, holes with it.

    Args:
        shapes: the polygons in other coordinates; those of the image when None.
    """
    return {"type": "FeatureCollection", "features": _features(found, shapes, decimals, _plain)}


def qupath(found: Sequence[ClassPolygon], classes: ClassSet) -> Entry:
    """A FeatureCollection that QuPath imports as annotations with their classes: in pixels of the image's full size."""

    def properties(piece: ClassPolygon) -> Entry:
        classification = {"name": piece.name, "color": list(classes.palette[piece.label])}
        return {"objectType": "annotation", "classification": classification}

    return {"type": "FeatureCollection", "features": _features(found, None, DECIMALS, properties)}


def _plain(piece: ClassPolygon) -> Entry:
    return {"class": piece.name, "id": piece.label}


def _features(
    found: Sequence[ClassPolygon],
    shapes: Sequence[Any] | None,
    decimals: int,
    properties: Callable[[ClassPolygon], Entry],
) -> list[Entry]:
    shapely = library("shapely", FOR)
    given = [piece.shape for piece in found] if shapes is None else shapes
    turned = shapely.orient_polygons(np.array(given, object), exterior_cw=False)
    return [
        {
            "type": "Feature",
            "properties": properties(piece),
            "geometry": {"type": "Polygon", "coordinates": [_points(ring, decimals) for ring in _rings(shape)]},
        }
        for piece, shape in zip(found, turned, strict=True)
    ]


def _rings(shape: Any) -> Iterator[Any]:
    yield shape.exterior
    yield from shape.interiors


def _points(ring: Any, decimals: int = DECIMALS, *, closed: bool = True) -> list[list[float]]:
    points = np.asarray(ring.coords).round(decimals) + 0.0  # no -0.0
    pairs: list[list[float]] = (points if closed else points[:-1]).tolist()
    return pairs


def category(label: int) -> int:
    """The ``category_id`` of a class in COCO's JSON."""
    return label + 1


def categories(classes: ClassSet) -> list[Entry]:
    """All classes but the background, as COCO's JSON has them."""
    named = [(label, name) for label, name in enumerate(classes.names) if label != classes.background]
    return [{"id": category(label), "name": name, "supercategory": ""} for label, name in named]


def coco_entry(piece: ClassPolygon) -> Entry:
    """A piece as COCO's JSON has it, but for ``id`` and ``image_id``: its parts have no holes."""
    left, top, right, bottom = piece.shape.bounds
    parts = [_points(part.exterior, closed=False) for part in without_holes(piece.shape)]
    return {
        "category_id": category(piece.label),
        "segmentation": [[value for point in points for value in point] for points in parts],
        "area": piece.shape.area,
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
    }


def labelme(found: Sequence[ClassPolygon], image: str, size: tuple[int, int]) -> Entry:
    """The file that LabelMe keeps beside an image; the parts of a piece with holes have one ``group_id``.

    Args:
        image: its path from the file's folder.
        size: ``(height, width)`` of the image.
    """
    shapes = list[Entry]()
    for number, piece in enumerate(found):
        parts = without_holes(piece.shape)
        for part in parts:
            points = _points(part.exterior, closed=False)
            shapes.append(labelme_shape(piece.name, points, number if len(parts) > 1 else None))
    return labelme_file(shapes, image, size)


def labelme_shape(name: str, points: list[list[float]], group: int | None) -> Entry:
    """A polygon of LabelMe's; ``group``: the number of what it is a part of."""
    return {
        "label": name, "points": points, "group_id": group, "description": "", "shape_type": "polygon", "flags": {},
        "mask": None,
    }  # fmt: skip


def labelme_file(shapes: Sequence[Entry], image: str, size: tuple[int, ...]) -> Entry:
    """LabelMe's file of an image of ``(height, width)``, which lies at ``image`` from the file's folder."""
    return {
        "version": LABELME, "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None,
        "imageHeight": size[0], "imageWidth": size[1],
    }  # fmt: skip


def labelme_names(classes: ClassSet) -> list[str]:
    """The lines of LabelMe's ``labels.txt``."""
    return [UNLABELLED, *(BACKGROUND if i == classes.background else name for i, name in enumerate(classes.names))]


def yolo(found: Sequence[ClassPolygon], classes: ClassSet, size: tuple[int, int]) -> str:
    """YOLO's text file of an image of ``(height, width)``: ``class x y x y ...`` in shares of its sides, a line for
    each part without holes."""
    numbers = {label: number for number, label in enumerate(yolo_labels(classes))}
    lines = []
    for piece in found:
        for part in without_holes(piece.shape):
            points = np.asarray(part.exterior.coords)[:-1] / (size[1], size[0])
            lines.append(" ".join([str(numbers[piece.label]), *(f"{value:.8g}" for value in points.ravel())]))
    return "".join(f"{line}\n" for line in lines)


def yolo_labels(classes: ClassSet) -> list[int]:
    """The class that each of YOLO's numbers stands for: all but the background."""
    return [label for label in range(len(classes)) if label != classes.background]
