"""Supervisely's projects: ``meta.json``, and for each data set ``ann/NAME.jpg.json`` and ``img/NAME.jpg``.

Format: Supervisely's documentation, "Supervisely Annotation Format" (developer.supervisely.com). The licence is that of
whoever made the labels.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fullconv.data.annotations import Annotation, box_ring, ring
from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, child_folders
from fullconv.formats.read.exports import by_subset, classes_of, split_in_words, split_of, within_reach
from fullconv.formats.read.labelme_shapes import PenMask
from fullconv.formats.read.names import spot
from fullconv.images.files import IMAGE_SUFFIXES, drawn_size
from fullconv.spec import Colour
from fullconv.text import read_text

META = "meta.json"
DEEPEST = 4
DRAWN = ("polygon", "bitmap", "rectangle")
SHAPES = (*DRAWN, "any", "")
"""Shapes of classes that can have an inside."""
SLACK = 1 << 20
Content = dict[str, Any]


def recognise_supervisely(root: Path, description: Description, problems: Problems) -> Found | None:
    """Supervisely: folders with ``ann`` and ``img`` up to four levels down; ``meta.json`` here or above names classes.

    Polygons with their holes, bitmaps and rectangles are drawn in their order, later over earlier; points, lines,
    graphs and other shapes have no inside and are left out. A data set named like a split, or else an image's tag of
    such a name, is the split.
    """
    listing = next((folder / META for folder in (root, root.parent) if (folder / META).is_file()), None)
    folders = _folders(root, DEEPEST if listing == root / META else 0)  # without meta.json each data set is its own
    meta = _json(listing) if listing is not None and folders else {}
    if not folders or not (isinstance(meta.get("classes"), list) or _looks_right(folders[0])):
        return None
    read = {path: _json(path) for folder in folders for path in sorted((folder / "ann").glob("*.json"))}
    strange = [path.name for path, content in read.items() if not isinstance(content.get("objects"), list)]
    if strange or not read:
        said = (
            f"{plural(len(strange), 'file')} without a list 'objects' ({first_few(strange)})"
            if read
            else "no annotation"
        )
        raise DataError(f"{root}: {said}; expected ann/NAME.json of Supervisely, export the project again")
    reasons = ["folders ann and img: Supervisely, shapes in their order, drawn by Pillow with their outlines"]
    labels, colours = _labels(meta, list(read.values()), reasons)
    where = listing if listing is not None else root
    classes, background = classes_of(labels, colours, description, where, reasons)
    ids = {label: classes.names.index(label) for label in labels}
    left_out, subsets, missing = Counter[str](), dict[str, list[Item]](), list[str]()
    for path, content in read.items():
        image = _image(path)
        if image is None:
            missing.append(path.name)
            continue
        with problems.catching("unreadable"):
            item = _item(root, path, image, content, ids, background, left_out)
            subsets.setdefault(_subset(root, path, content), []).append(item)
    if missing:
        problems.report(
            "unpaired",
            f"{root}: {len(missing)} of {len(read)} annotations have no image in img/ ({first_few(missing)})",
            "add the images, or remove the annotations",
        )
    empty = sum(not content["objects"] for content in read.values())
    if empty:
        reasons.append(f"{empty} of {len(read)} images have no object: all of each is what no region covers")
    if left_out:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))
        reasons.append(f"what has no inside is left out: {counts}")
    return Found("supervisely", reasons, by_subset(subsets, reasons), classes)


def _folders(root: Path, deepest: int) -> list[Path]:
    """The folders that hold ``ann`` and ``img``, the first ones on the way down."""
    level = [root]
    found: list[Path] = []
    for _ in range(deepest + 1):
        here = [folder for folder in level if (folder / "ann").is_dir() and (folder / "img").is_dir()]
        found += here
        level = [sub for folder in level if folder not in here for sub in child_folders(folder)][:1000]
    return sorted(found)


def _looks_right(folder: Path) -> bool:
    """Whether the first annotation is one of Supervisely's; asked where no ``meta.json`` says it."""
    first = next(iter(sorted((folder / "ann").glob("*.json"))), None)
    return first is not None and {"objects", "size"} <= set(_json(first))


def _json(path: Path) -> Content:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not readable JSON ({error}); export it again") from error
    return content if isinstance(content, dict) else {}


def _labels(meta: Content, contents: list[Content], reasons: list[str]) -> tuple[list[str], list[Colour]]:
    """The classes of ``meta.json`` that can have an inside, with colours where all have one; else those found."""
    every = [entry for entry in meta.get("classes") or [] if isinstance(entry, dict) and "title" in entry]
    stated = [entry for entry in every if str(entry.get("shape", "")) in SHAPES]
    if len(stated) < len(every):
        reasons.append(f"classes of a shape without an area are left out: {len(every) - len(stated)}")
    if not stated:
        drawn = [o for content in contents for o in content["objects"] if isinstance(o, dict) and _kind(o) in DRAWN]
        return sorted({str(shape.get("classTitle")) for shape in drawn}), []
    colours = [_colour(str(entry.get("color", ""))) for entry in stated]
    whole = [colour for colour in colours if colour is not None]
    return [str(entry["title"]) for entry in stated], whole if len(whole) == len(stated) else []


def _colour(text: str) -> Colour | None:
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def _image(path: Path) -> Path | None:
    """``img/a.jpg`` of ``ann/a.jpg.json``, or of ``ann/a.json``."""
    folder, name = path.parent.parent / "img", path.name.removesuffix(".json")
    own = [name] if Path(name).suffix.lower() in IMAGE_SUFFIXES else [f"{name}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((there for one in own if (there := spot(folder / one)) is not None), None)


def _subset(root: Path, path: Path, content: Content) -> str:
    """The split that the data set's folder or a tag of the image names; else the folder's name."""
    folder = path.parent.parent
    tags = [str(tag.get("name")) for tag in content.get("tags") or [] if isinstance(tag, dict)]
    of_tags = {split for tag in tags if (split := split_of(tag)) is not None}
    named = split_in_words(folder.name) if folder != root else ""
    return named or (of_tags.pop() if len(of_tags) == 1 else folder.name)


def _kind(shape: Content) -> str:
    return str(shape.get("geometryType") or shape.get("shape") or ("bitmap" if "bitmap" in shape else "polygon"))


def _item(
    root: Path, path: Path, image: Path, content: Content, ids: dict[str, int], background: int,
    left_out: Counter[str],
) -> Item:  # fmt: skip
    stated = content.get("size") or {}
    size, same = drawn_size(image, (stated.get("height"), stated.get("width")))
    if not same:
        raise DataError(
            f"{path}: labelled at {stated.get('width')}x{stated.get('height')}, but {image.name} is "
            f"{size[1]}x{size[0]}; give the image that was labelled"
        )
    items = []
    for number, shape in enumerate(content["objects"]):
        kind = _kind(shape) if isinstance(shape, dict) else "not an object"
        if kind not in DRAWN:
            left_out[kind] += 1
            continue
        label = str(shape.get("classTitle"))
        if label not in ids:
            raise DataError(f"{path}: object {number} has class {label!r}, which {META} does not name; add it there")
        try:
            item = _annotation(kind, shape, ids[label])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"{path}: object {number} cannot be read ({type(error).__name__}: {error}); export it again"
            ) from error
        if item is None:
            left_out["polygon of fewer than 3 points"] += 1
        else:
            items.append(replace(item, name=label, instance=number, drawn=True))
    name = image.relative_to(root).with_suffix("").as_posix()
    key = name.replace("img/", "") if name.startswith("img/") else name.replace("/img/", "/")
    annotations = Annotations(str(path), size, tuple(items), "labelme", background, image=image)
    return Item(key, FileImage(image), annotations)


def _annotation(kind: str, shape: Content, label: int) -> Annotation | None:
    """A shape; None for a polygon without an inside."""
    if kind == "bitmap":
        left, top = (int(value) for value in shape["bitmap"]["origin"])
        packed = base64.b64decode(shape["bitmap"]["data"], validate=True)
        return Annotation(label, "mask", stored=Bitmap(packed, left, top))
    points = within_reach(np.asarray(shape["points"]["exterior"], float).reshape(-1, 2))
    if kind == "rectangle":
        (left, top), (right, bottom) = points
        pen = PenMask("rectangle", ((left, top), (right, bottom)))
        return Annotation(label, "box", (box_ring(*points.min(0), *points.max(0)),), pen)
    outline = ring(points)
    if outline is None:
        return None
    holes = [ring(within_reach(np.asarray(hole, float))) for hole in shape["points"].get("interior") or []]
    inner = tuple(hole for hole in holes if hole is not None)
    return Annotation(label, "mask", (outline,), Holed(outline, inner) if inner else None)


@dataclass(frozen=True, eq=False)
class Holed:
    """A polygon with holes: what it covers with its outline, less what the holes cover with theirs."""

    outline: np.ndarray
    holes: tuple[np.ndarray, ...]

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]``."""
        picture = Image.new("1", (size[1], size[0]))
        pen = ImageDraw.Draw(picture)
        for points, value in ((self.outline, 1), *((hole, 0) for hole in self.holes)):
            pen.polygon([(x, y) for x, y in points.tolist()], fill=value, outline=value)
        return np.asarray(picture)


@dataclass(frozen=True)
class Bitmap:
    """Supervisely's mask: a PNG, packed by zlib, of the box that begins at ``left``, ``top``; its alpha, else not 0."""

    packed: bytes
    left: int
    top: int

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]``.

        Raises:
            DataError: not such a PNG, or one that does not lie in the image.
        """
        try:
            content = zlib.decompressobj().decompress(self.packed, 8 * size[0] * size[1] + SLACK)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
                width, height = picture.size
                inside = min(self.left, self.top) >= 0 and self.left + width <= size[1] and self.top + height <= size[0]
                if not inside:
                    raise DataError(
                        f"{where}: a bitmap of {width}x{height} at {self.left},{self.top} leads out of the image of "
                        f"{size[1]}x{size[0]}; export it again"
                    )
                alpha = "A" in picture.getbands()
                part = np.asarray(picture.getchannel("A") if alpha else picture.convert("L")) > 0
        except (zlib.error, OSError, SyntaxError) as error:
            raise DataError(f"{where}: a bitmap that is not a packed PNG ({error}); export it again") from error
        mask = np.zeros(size, bool)
        mask[self.top : self.top + height, self.left : self.left + width] = part
        return mask
