"""Polygons of images as files of other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from fullconv.errors import UsageError, first_few
from fullconv.files import replacing, write_text
from fullconv.libraries import library
from fullconv.polygons import contents
from fullconv.polygons.contents import ENDINGS, Entry
from fullconv.polygons.trace import FOR, ClassPolygon
from fullconv.prediction.inputs import Input
from fullconv.prediction.label_file import LabelFile
from fullconv.prediction.settings import Settings
from fullconv.spec import ClassSet

UNDEFINED = 'LOCAL_CS["Undefined Cartesian SRS"]'
"""GeoPackage's own system, -1, for coordinates of none."""
ALL_IMAGES = "polygons.json"
"""COCO's file."""
BESIDE = ("labelme", "yolo")
"""Formats whose files people keep beside their images."""


class Written(NamedTuple):
    """What is left of an image once its polygons are written.

    Attributes:
        coco: its entry among the images, and those of its polygons, without numbers.
        notes: what to know of them.
    """

    coco: tuple[Entry, list[Entry]] | None = None
    notes: tuple[str, ...] = ()


def write_polygons(kind: str, labels: LabelFile, found: list[ClassPolygon], classes: ClassSet, out: Path) -> Written:
    """Write the polygons of an image in one of :data:`fullconv.polygons.contents.ENDINGS`; of COCO nothing yet.

    Raises:
        FullconvError: the disk is full, or the folder cannot be written.
    """
    image, place = labels.image, labels.place
    file = image.file(out, ENDINGS[kind])
    if kind == "geojson":
        on_earth = place is not None and place.crs is not None
        shapes = _moved(found, place.degrees) if place is not None and on_earth else None
        write_text(file, json.dumps(contents.geojson(found, shapes)))
        return Written(None, _coordinates(labels, on_earth, "longitude and latitude"))
    if kind == "gpkg":
        shapes = [piece.shape for piece in found] if place is None else _moved(found, place.coordinates)
        _write_gpkg(file, found, shapes, None if place is None or place.crs is None else place.crs.to_wkt())
        return Written(None, _coordinates(labels, place is not None, "map coordinates"))
    found, (height, width) = _at_full_size(found, labels), labels.full
    if kind == "coco":
        entry = {"file_name": image.below.as_posix(), "height": height, "width": width}
        return Written((entry, [contents.coco_entry(piece) for piece in found]))
    if kind == "qupath":
        write_text(file, json.dumps(contents.qupath(found, classes)))
    elif kind == "labelme":
        name = Path(os.path.relpath(image.path, file.parent)).as_posix()
        write_text(file, json.dumps(contents.labelme(found, name, labels.full)))
    else:
        write_text(file, contents.yolo(found, classes, labels.full))
    return Written()


def _coordinates(labels: LabelFile, on_earth: bool, which: str) -> tuple[str, ...]:
    if on_earth:
        return (f"polygons of rasters that lie on the earth are in {which}",)
    if labels.path.suffix == ".tif":
        where = f"{labels.image.path}: where it lies on the earth is not stated"
        return (f"{where}, so its polygons are in pixels, not in {which}",)
    return ()


def write_for_all(kind: str, written: Sequence[Written], classes: ClassSet, out: Path) -> None:
    """Write what belongs to all images."""
    if kind == "coco":
        write_text(out / ALL_IMAGES, json.dumps(numbered(written, classes)))
    elif kind == "labelme":
        write_text(out / "labels.txt", "".join(f"{name}\n" for name in contents.labelme_names(classes)))
    elif kind == "yolo":
        names = {number: classes.names[label] for number, label in enumerate(contents.yolo_labels(classes))}
        write_text(out / "data.yaml", yaml.safe_dump({"names": names}, sort_keys=False, allow_unicode=True))


def numbered(written: Sequence[Written], classes: ClassSet) -> Entry:
    """COCO's JSON of all images."""
    images, annotations = list[Entry](), list[Entry]()
    for number, (image, entries) in enumerate((one.coco for one in written if one.coco is not None), 1):
        images.append({"id": number, **image})
        annotations += [{"image_id": number, **entry} for entry in entries]
    annotations = [{"id": number, **entry} for number, entry in enumerate(annotations, 1)]
    return {"images": images, "annotations": annotations, "categories": contents.categories(classes)}


def refuse_to_replace_annotations(asked: Settings, images: Sequence[Input], out: Path) -> None:
    """Files of labelling tools beside the images may be work of people.

    Raises:
        UsageError: one would be written over.
    """
    if asked.polygons not in BESIDE:
        return
    files = [(image.file(out, ENDINGS[asked.polygons]), image.path) for image in images]
    there = [str(file) for file, path in files if file.exists() and file.parent.resolve() == path.parent.resolve()]
    if there:
        raise UsageError(
            f"--polygons {asked.polygons} would replace {len(there)} files beside the images, which may be somebody's "
            f"annotations ({first_few(there)}); choose another --out"
        )


def _moved(found: list[ClassPolygon], to: Any) -> list[Any]:
    shapely = library("shapely", FOR)
    return list(shapely.transform(np.array([piece.shape for piece in found], object), to))


def _at_full_size(found: list[ClassPolygon], labels: LabelFile) -> list[ClassPolygon]:
    """In pixels of the image, where the labels are those of a smaller level."""
    if labels.full == labels.size:
        return found
    factors = np.array(labels.full[::-1]) / labels.size[::-1]
    moved = _moved(found, lambda xy: xy * factors)
    return [piece._replace(shape=shape) for piece, shape in zip(found, moved, strict=True)]


def _write_gpkg(file: Path, found: list[ClassPolygon], shapes: list[Any], crs: str | None) -> None:
    shapely, pyogrio = library("shapely", FOR), library("pyogrio", FOR)
    with replacing(file) as temporary:
        temporary.unlink()  # SQLite wants to make it
        pyogrio.raw.write(
            temporary, shapely.to_wkb(np.array(shapes, object)),
            [np.array([piece.name for piece in found], object), np.array([piece.label for piece in found], np.int32)],
            ["class", "id"], layer="polygons", driver="GPKG", geometry_type="Polygon", crs=crs or UNDEFINED,
        )  # fmt: skip
