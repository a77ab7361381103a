"""CVAT's "CVAT for images 1.1": one ``annotations.xml`` with the shapes of every image.

Format: CVAT's documentation, "XML annotation format". The licence is that of whoever made the labels.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fullconv.data.annotations import IGNORED, Annotation, Kind, box_ring, ellipse_ring, ring, turned
from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations, most_of_a_mask
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found
from fullconv.formats.read.exports import by_subset, classes_of, inside, marked, split_of, within_reach
from fullconv.formats.read.names import spot
from fullconv.formats.read.xml import parse_xml
from fullconv.images.files import drawn_size
from fullconv.spec import Colour
from fullconv.text import head_of

FILE_NAME = "annotations.xml"
DRAWN = ("polygon", "mask", "box", "ellipse")
WITHOUT_INSIDE = ("polyline", "points", "cuboid", "skeleton", "tag")
KINDS: dict[str, Kind] = {
    "polygon": "mask", "mask": "mask", "ellipse": "mask", "box": "box", "polyline": "line", "points": "point",
    "skeleton": "point", "tag": "tag",
}  # fmt: skip
"""What each shape is kept as; others, of videos and of three dimensions, are left out."""


def recognise_cvat_xml(root: Path, description: Description, problems: Problems) -> Found | None:
    """CVAT for images: ``annotations.xml`` and the images, in ``images`` (with a folder per subset or not) or beside.

    Polygons, masks, boxes and ellipses are drawn by ``z_order``, equal ones in the file's order. Polylines, points,
    skeletons and tags are kept, and not drawn; cuboids are left out. What shares label and ``group_id`` is one object.
    Classes are the labels of the task or project, with their colours; the ``subset`` of an image, or else its folder,
    is its split.
    """
    path = root / FILE_NAME
    if not path.is_file() or not _looks_right(path):
        return None
    tree = parse_xml(path, "CVAT")
    if tree.tag != "annotations":
        return None
    images = tree.findall("image")
    if not images:
        video = tree.find("track") is not None
        raise DataError(
            f"{path}: {'tracks of a video' if video else 'no <image>'} found, expected images; "
            "export it as 'CVAT for images 1.1'"
        )
    reasons = [f"{FILE_NAME}: CVAT for images 1.1, drawn by z_order, then in the file's order"]
    labels, colours = _labels(tree, images, reasons)
    reasons.append("polygons, boxes and ellipses are filled by pycocotools, as CVAT's own mask export fills polygons")
    classes, background = classes_of(labels, colours, description, path, reasons)
    ids = {label: classes.names.index(label) for label in labels}
    left_out: Counter[str] = Counter()
    places = [_place(root, image) for image in images]
    missing = [image.get("name", "?") for image, place in zip(images, places, strict=True) if place is None]
    if missing:
        problems.report(
            "unpaired", f"{path}: {len(missing)} of {len(images)} images are missing ({first_few(missing)})",
            "export again with images saved, or put them into images/",
        )  # fmt: skip
    subsets: dict[str, list[Item]] = {}
    for image, place in zip(images, places, strict=True):
        if place is not None:
            with problems.catching("unreadable"):
                subsets.setdefault(_subset(image), []).append(_item(path, image, place, ids, background, left_out))
    empty = sum(all(shape.tag not in DRAWN for shape in image) for image in images)
    if empty:
        reasons.append(f"{empty} of {len(images)} images have no region: all of each is what no region covers")
    if left_out:
        counts = ", ".join(f"{count} {tag}" for tag, count in sorted(left_out.items()))
        reasons.append(f"without an area, so kept and in the label map left out: {counts}")
    if boxes := sum(shape.tag == "box" for image in images for shape in image):
        reasons.append(f"{plural(boxes, 'box', 'is')} filled as a rectangle, as CVAT's own mask export fills them")
    if tracks := len(tree.findall("track")):
        reasons.append(f"{plural(tracks, 'track beside the images', 'is')} left out: such belong to a video")
    return Found("cvat_xml", reasons, marked(by_subset(subsets, reasons), reasons), classes)


def _looks_right(path: Path) -> bool:
    return "<annotations" in head_of(path)


def _labels(tree: ET.Element, images: list[ET.Element], reasons: list[str]) -> tuple[list[str], list[Colour]]:
    """The stated labels that can have an inside, with colours where all have one; else those found, sorted."""
    every = [label for label in tree.iterfind("meta/*/labels/label") if not label.findtext("parent")]
    stated = [label for label in every if label.findtext("type") not in WITHOUT_INSIDE]
    if len(stated) < len(every):
        reasons.append(f"labels of a type without an area are no classes: {len(every) - len(stated)}")
    if not stated:
        drawn = {shape.get("label", "") for image in images for shape in image if shape.tag in DRAWN}
        kept = {shape.get("label", "") for image in images for shape in image if shape.tag in KINDS}
        return sorted(drawn or kept), []
    colours = [_colour(label.findtext("color") or "") for label in stated]
    whole = [colour for colour in colours if colour is not None]
    return [label.findtext("name") or "" for label in stated], whole if len(whole) == len(stated) else []


def _colour(text: str) -> Colour | None:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text.strip()):
        return None
    red, green, blue = bytes.fromhex(text.strip()[1:])
    return red, green, blue


def _subset(image: ET.Element) -> str:
    subset = image.get("subset", "")
    folder = inside(image.get("name", "")).parts[:1]
    return folder[0] if split_of(subset) is None and folder and split_of(folder[0]) else subset


def _place(root: Path, image: ET.Element) -> Path | None:
    name, subset = inside(image.get("name", "")), inside(image.get("subset", "default"))
    if not name.name:
        return None
    folders = (root / "images" / subset, root / "images", root / subset, root)
    places = (spot(folder / name) for folder in folders)
    return next((place for place in places if place is not None and place.is_file()), None)


def _item(
    path: Path, image: ET.Element, place: Path, ids: dict[str, int], background: int, left_out: Counter[str]
) -> Item:
    name = image.get("name", "")
    where = f"{path}: image {name}"
    stated = [image.get(side) for side in ("height", "width")]
    height, width = (int(side) if side is not None and side.isdigit() else side for side in stated)
    size, same = drawn_size(place, (height, width))
    if not same:
        raise DataError(
            f"{where}: labelled at {stated[1]}x{stated[0]}, but {place.name} is {size[1]}x{size[0]}; give the images "
            "that were labelled"
        )
    layers, objects = [], dict[tuple[str, int], int]()
    for number, shape in enumerate(image):
        if shape.tag == "attribute":
            continue
        if shape.tag not in DRAWN:
            left_out[shape.tag] += 1
        if shape.tag not in KINDS:
            continue
        label = shape.get("label", "")
        if label not in ids and shape.tag in DRAWN:
            raise DataError(f"{where}: shape {number} has label {label!r}, which the file does not name; export again")
        try:
            item = _annotation(shape, ids.get(label, IGNORED))
            order, group = int(shape.get("z_order", 0)), int(shape.get("group_id", 0)) or None
        except (KeyError, ValueError, OverflowError) as error:
            raise DataError(
                f"{where}: shape {number} ({shape.tag}) cannot be read ({type(error).__name__}: {error}); export again"
            ) from error
        if item is None:
            left_out["polygon of fewer than 3 points"] += 1
            continue
        instance = number if group is None else objects.setdefault((label, group), number)
        drawn = shape.tag in DRAWN
        layers.append((order, replace(item, name=label, instance=instance, group=group, drawn=drawn)))
    layers.sort(key=lambda layer: layer[0])
    items = tuple(item for _, item in layers)
    key = inside(name).with_suffix("").as_posix()
    return Item(key, FileImage(place), Annotations(where, size, items, "coco", background, image=place))


def _places(shape: ET.Element) -> np.ndarray:
    """The points of a shape, ``[n, 2]``."""
    points = [[float(v) for v in point.split(",")] for point in shape.attrib["points"].split(";")]
    return within_reach(np.array(points, float).reshape(-1, 2))


def _annotation(shape: ET.Element, label: int) -> Annotation | None:
    """A shape of CVAT; None for a polygon without an inside."""
    kind = KINDS[shape.tag]
    if shape.tag == "tag":
        return Annotation(label, kind)
    if shape.tag == "skeleton":
        return Annotation(label, kind, tuple(_places(point) for point in shape.iter("points")))
    if shape.tag in ("polyline", "points"):
        return Annotation(label, kind, (_places(shape),))
    if shape.tag == "polygon":
        outline = ring(_places(shape))
        return None if outline is None else Annotation(label, kind, (outline,))
    if shape.tag == "mask":
        left, top, width, height = (int(float(shape.attrib[side])) for side in ("left", "top", "width", "height"))
        runs = np.array([int(run) for run in shape.attrib["rle"].split(",")], np.int64)
        if runs.min() < 0 or width < 0 or height < 0 or int(runs.sum()) != width * height:
            raise ValueError(f"run lengths of {int(runs.sum())} pixels for a box of {width}x{height}")
        return Annotation(label, kind, stored=BoxRuns(runs, left, top, width, height))
    turn = float(shape.get("rotation", 0))
    if shape.tag == "box":
        x0, y0, x1, y1 = (float(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        outline = turned(box_ring(x0, y0, x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2), turn)
        return Annotation(label, kind, (within_reach(outline),))
    x, y, radius_x, radius_y = (float(shape.attrib[part]) for part in ("cx", "cy", "rx", "ry"))
    return Annotation(label, kind, (within_reach(turned(ellipse_ring((x, y), (radius_x, radius_y)), (x, y), turn)),))


@dataclass(frozen=True)
class BoxRuns:
    """CVAT's mask: run lengths of a box, row by row, in turn outside and inside; the first is outside.

    Attributes:
        runs: int64 ``[n]``, together ``width * height``.
        left, top, width, height: the box in pixels of the image; what lies outside the image is cut off.
    """

    runs: np.ndarray
    left: int
    top: int
    width: int
    height: int

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]`` of the whole image.

        Raises:
            DataError: a box much larger than the image.
        """
        if self.width * self.height > most_of_a_mask(size):
            raise DataError(
                f"{where}: a mask of {self.width}x{self.height} in an image of {size[1]}x{size[0]}; export it again"
            )
        part = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs).reshape(self.height, self.width)
        up, back = max(0, -self.top), max(0, -self.left)
        top, left = self.top + up, self.left + back
        mask = np.zeros(size, bool)
        part = part[up : up + max(0, size[0] - top), back : back + max(0, size[1] - left)]
        mask[top : top + part.shape[0], left : left + part.shape[1]] = part
        return mask
