"""LabelMe's JSON files."""

from __future__ import annotations

import base64
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fullconv.data.annotations import IGNORED, Drawing, Region, most_of_a_mask, ring
from fullconv.data.dataset import ImageSource, Item
from fullconv.data.sources import EncodedImage, FileImage
from fullconv.errors import DataError, first_few
from fullconv.formats.description import Description
from fullconv.formats.mask_classes import class_names, names_file
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files
from fullconv.formats.read.folder import IMAGE_FOLDERS, MASK_FOLDERS
from fullconv.formats.read.names import spot
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import IMAGE_SUFFIXES, drawn_size, open_image
from fullconv.spec import ClassSet
from fullconv.text import note, parse_json, read_text

BACKGROUND, UNLABELLED = "_background_", "__ignore__"
LISTING = "labels.txt"
NOTES = ("labels", "annotations", "label", "annotation", "ann", "json", "jsons", "labelme")
LINE_WIDTH, POINT_RADIUS = 10, 5
CORNERS = 4
THIN = ("line", "linestrip", "point")
PEN = f"lines {LINE_WIDTH} pixels wide, points {POINT_RADIUS} around"
POINTS = {"rectangle": (2,), "circle": (2,), "line": (2,), "linestrip": range(2, 1 << 20), "point": (1,)}
"""How many points a shape may have."""


def recognise_labelme(root: Path, description: Description, problems: Problems) -> Found | None:
    """LabelMe: one JSON file with ``shapes`` and ``imagePath`` for each image; ``labels.txt`` names the classes.

    The files lie beside the images, or in ``labels`` or ``annotations`` beside ``images``.

    Without ``labels.txt`` classes are the labels found, in alphabetical order, after the background. What no shape
    covers is background; ``__ignore__`` is unlabelled; shapes overlap in their order. Polygons, rectangles, circles,
    lines (10 pixels wide), points (5 pixels around) and the masks of LabelMe 5 are drawn as LabelMe draws them.
    """
    found = _files(root)
    files = [pair for pairs in found.values() for pair in pairs]
    if not files:
        return None
    names, source = _class_names(root, [path for path, _ in files], [content for _, content in files], problems)
    ids = {name: index for index, name in enumerate(names)}
    skipped: list[str] = []
    splits: dict[str, list[Item]] = {split: [] for split in found}
    for split, pairs in found.items():
        for path, content in pairs:
            with problems.catching("unreadable"):
                splits[split].append(_item(root, path, content, ids, skipped))
    reasons = [f"JSON files with shapes: LabelMe, drawn as LabelMe draws them, {len(names)} classes ({source})"]
    if BACKGROUND not in ids:
        reasons.append(f"what no shape covers is unlabelled: no class is called {BACKGROUND}")
    shapes = [shape for _, content in files for shape in content["shapes"]]
    thin = Counter(kind for shape in shapes if (kind := str(shape.get("shape_type"))) in THIN)
    if thin:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(thin.items()))
        reasons.append(f"shapes without an area get one, as LabelMe draws them: {counts} ({PEN})")
    ignored = sum(shape.get("label") == UNLABELLED for shape in shapes)
    if ignored:
        reasons.append(f"{ignored} shapes are labelled {UNLABELLED}: unlabelled")
    if skipped:
        reasons.append(f"{len(skipped)} polygons of fewer than 3 points are left out ({first_few(skipped)})")
    return Found("labelme", reasons, splits, ClassSet(names))


def _files(root: Path) -> dict[str, list[tuple[Path, dict[str, Any]]]]:
    """LabelMe's files by split; "" where no folder is named like one.

    They lie beside the images or, where no masks do, in a folder of their own: ``labels``, ``annotations``, ...
    """

    def below(folder: Path) -> list[Path]:
        own = [found for name in (*NOTES, "images") if (found := child(folder, (name,))) is not None]
        return [folder, *own]

    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for split, names in SPLIT_NAMES:
        parts = [part for place in below(root) if (part := child(place, names)) is not None]
        found[split] = [pair for part in parts for place in below(part) for pair in _annotations(place)]
    found[""] = [] if found["train"] else [pair for place in below(root) for pair in _annotations(place)]
    own = {root, *(folder for _, names in SPLIT_NAMES if (folder := child(root, names)) is not None)}
    if any(path.parent not in own for pairs in found.values() for path, _ in pairs) and _holds_masks(root):
        found = {split: [pair for pair in pairs if pair[0].parent in own] for split, pairs in found.items()}
    found = {split: pairs for split, pairs in found.items() if pairs}
    return {"": found[""]} if "" in found else found


def _holds_masks(root: Path) -> bool:
    folders = [folder for name in MASK_FOLDERS if (folder := child(root, (name,))) is not None]
    return any(image_files(folder) for folder in folders)


def _annotations(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The folder's LabelMe files with their content."""
    found = []
    for path in sorted(folder.glob("*.json")):
        content = _content(path)
        if isinstance(content, dict) and {"shapes", "imagePath"} <= set(content):
            shapes = content["shapes"]
            if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
                raise DataError(f"{path}: shapes is not a list of shapes; save it again")
            found.append((path, content))
        else:
            note(path, used=False)
    return found


def _content(path: Path) -> Any:
    """A JSON file's content; None for another program's that cannot be read."""
    try:
        text = read_text(path)
        return parse_json(text)
    except ValueError as error:
        if b'"shapes"' not in path.read_bytes():
            return None
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not readable JSON ({error}); save it again") from error


def _class_names(
    root: Path, paths: Sequence[Path], contents: Sequence[dict[str, Any]], problems: Problems
) -> tuple[tuple[str, ...], str]:
    """The classes, and where they come from."""
    places = dict.fromkeys((root, *(path.parent for path in paths), root.parent))
    listing = next((folder / LISTING for folder in places if (folder / LISTING).is_file()), names_file(root))
    if listing is not None:
        return tuple(name for name in class_names(listing, problems) if name != UNLABELLED), f"those of {listing.name}"
    labels = {str(shape.get("label")) for content in contents for shape in content["shapes"]}
    return (BACKGROUND, *sorted(labels - {BACKGROUND, UNLABELLED})), "the labels found, sorted, after the background"


def _item(root: Path, path: Path, content: dict[str, Any], ids: dict[str, int], skipped: list[str]) -> Item:
    image = _image(root, path, str(content["imagePath"]))
    pixels: ImageSource
    if image is not None:
        pixels = FileImage(image)
    elif content.get("imageData"):
        pixels = EncodedImage(ImageInJson(path))
    else:
        raise DataError(
            f"{path}: its image {content['imagePath']} is missing; put it beside the file, or correct imagePath"
        )
    stated = (content.get("imageHeight"), content.get("imageWidth"))
    if image is not None:
        size, same = drawn_size(image, stated)
    else:
        size = pixels.size()
        same = None in stated or stated == size
    if not same:
        raise DataError(
            f"{path}: labelled at {stated[1]}x{stated[0]}, but {(image or path).name} is {size[1]}x{size[0]}; give the "
            "image that was labelled"
        )
    regions = []
    for number, shape in enumerate(content["shapes"]):
        label = str(shape.get("label"))
        if label not in ids and label != UNLABELLED:
            raise DataError(f"{path}: shape {number} has label {label!r}, which labels.txt does not name; add it there")
        try:
            region = _region(shape, ids.get(label, IGNORED))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise DataError(f"{path}: shape {number} cannot be drawn ({error}); correct it") from error
        if region is None:
            skipped.append(f"{path.name} shape {number}")
        else:
            regions.append(region)
    background = ids.get(BACKGROUND, IGNORED)
    drawing = Drawing(str(path), size, tuple(regions), "labelme", background, image=image)
    return Item(path.stem, pixels, drawing)


def _image(root: Path, path: Path, stated: str) -> Path | None:
    """The image that a JSON file is about: where it says, else by its stated name, else by the file's own.

    The two names are looked for beside the file, and in the folder of images (``images``, ``JPEGImages``, ...) that its
    folder has for a neighbour (``labels/train/a.json``: ``images/train/a.png``, also ``images/a.png``). What leads
    outside the data is not read.
    """
    place = Path(os.path.normpath(path.parent / stated.replace("\\", "/").lstrip("/")))  # a whole path: its end counts
    folders = [path.parent]
    for above in path.parents:
        if above == root.parent:
            break
        inner = path.parent.relative_to(above).parts[1:]
        for images in (spot(above / name) for name in IMAGE_FOLDERS):
            if images is not None:
                folders += [images.joinpath(*inner), images]
    names = (place.name, *(f"{path.stem}{suffix}" for suffix in IMAGE_SUFFIXES))
    spots = ([place] if place.is_relative_to(root) else []) + [folder / name for name in names for folder in folders]
    there = (spot(one) for one in spots)
    return next((one for one in there if one and one.suffix.lower() in IMAGE_SUFFIXES and one.is_file()), None)


@dataclass(frozen=True)
class ImageInJson:
    """The copy of the image that LabelMe keeps in its file, ``imageData``."""

    path: Path

    @property
    def where(self) -> str:
        return f"{self.path} imageData"

    @property
    def container(self) -> Path:
        return self.path

    def file(self) -> EncodedFile:
        """Its bytes.

        Raises:
            DataError: they are not base64.
        """
        try:
            content = base64.b64decode(parse_json(read_text(self.path))["imageData"], validate=True)
        except (ValueError, TypeError) as error:
            raise DataError(f"{self.path}: imageData is not base64 ({error}); put the image beside") from error
        return EncodedFile(content, self.where)


def _region(shape: dict[str, Any], label: int) -> Region | None:
    """A shape as LabelMe's ``shape_to_mask`` draws it; None for a polygon of one or two points.

    Raises:
        TypeError, ValueError, IndexError, OverflowError: it is not of LabelMe's format.
    """
    kind = shape.get("shape_type") or "polygon"
    points = np.asarray(shape["points"], float).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate that is no number")
    if kind == "mask":
        return Region(label, stored=PngMask(str(shape["mask"]), (float(points[0, 0]), float(points[0, 1]))))
    if kind == "polygon" or (kind == "rectangle" and len(points) == CORNERS):  # X-AnyLabeling writes all four
        outline = ring(points)
        return None if outline is None else Region(label, (outline,))
    if kind not in POINTS:
        raise ValueError(f"shape_type {kind!r}; known are polygon, mask, {', '.join(POINTS)}")
    if len(points) not in POINTS[kind]:
        raise ValueError(f"{len(points)} points for a {kind}")
    return Region(label, stored=PenMask(kind, tuple((float(x), float(y)) for x, y in points)))


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
