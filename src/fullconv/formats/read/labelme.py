"""LabelMe's JSON files."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fullconv.data.annotations import IGNORED, Annotation
from fullconv.data.dataset import ImageSource, Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import EncodedImage, FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.mask_classes import class_names, names_file
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files
from fullconv.formats.read.exports import marked
from fullconv.formats.read.folder import IMAGE_FOLDERS, MASK_FOLDERS
from fullconv.formats.read.labelme_shapes import PEN, THIN, annotation_of
from fullconv.formats.read.names import spot
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import IMAGE_SUFFIXES, drawn_size
from fullconv.spec import ClassSet
from fullconv.text import note, parse_json, read_text

BACKGROUND, UNLABELLED = "_background_", "__ignore__"
LISTING = "labels.txt"
NOTES = ("labels", "annotations", "label", "annotation", "ann", "json", "jsons", "labelme")


def recognise_labelme(root: Path, description: Description, problems: Problems) -> Found | None:
    """LabelMe: one JSON file with ``shapes`` and ``imagePath`` for each image; ``labels.txt`` names the classes.

    The files lie beside the images, or in ``labels`` or ``annotations`` beside ``images``.

    Without ``labels.txt`` classes are the labels found, in alphabetical order, after the background. What no shape
    covers is background; ``__ignore__`` is unlabelled; shapes overlap in their order. Polygons, rectangles, circles,
    lines (10 pixels wide), points (5 pixels around) and the masks of LabelMe 5 are drawn as LabelMe draws them. Flags
    of images are tags; shapes of one label and ``group_id`` are one object.
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
    shapes = [shape for _, content in files for shape in content["shapes"]]
    tags = sum(len(_flags(content)) for _, content in files)
    reasons = [
        f"JSON files with shapes: LabelMe, drawn as LabelMe draws them, {plural(len(names), 'class')} ({source})"
    ]
    if BACKGROUND not in ids:
        reasons.append(f"what no shape covers is unlabelled: no class is called {BACKGROUND}")
    thin = Counter(kind for shape in shapes if (kind := str(shape.get("shape_type"))) in THIN)
    if thin:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(thin.items()))
        reasons.append(f"shapes without an area get one, as LabelMe draws them: {counts} ({PEN})")
    boxes = sum(shape.get("shape_type") == "rectangle" for shape in shapes)
    if boxes:
        reasons.append(f"{boxes} rectangles are boxes, filled as LabelMe's own export fills them")
    if tags:
        reasons.append(f"{tags} flags of images are kept as tags, and not shown in the label map")
    ignored = sum(shape.get("label") == UNLABELLED for shape in shapes)
    if ignored:
        reasons.append(f"{ignored} shapes are labelled {UNLABELLED}: unlabelled")
    if skipped:
        reasons.append(
            f"{plural(len(skipped), 'polygon of fewer than 3 points', 'is')} left out ({first_few(skipped)})"
        )
    return Found("labelme", reasons, marked(splits, reasons), ClassSet(names))


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
    items, objects = [], dict[tuple[str, int], int]()
    for number, shape in enumerate(content["shapes"]):
        label = str(shape.get("label"))
        if label not in ids and label != UNLABELLED:
            raise DataError(f"{path}: shape {number} has label {label!r}, which labels.txt does not name; add it there")
        try:
            item = annotation_of(shape, ids.get(label, IGNORED))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise DataError(f"{path}: shape {number} cannot be drawn ({error}); correct it") from error
        if item is None:
            skipped.append(f"{path.name} shape {number}")
            continue
        group = shape["group_id"] if isinstance(shape.get("group_id"), int) else None
        instance = number if group is None else objects.setdefault((label, group), number)
        difficult = shape.get("difficult") is True
        items.append(replace(item, name=label, instance=instance, group=group, difficult=difficult, drawn=True))
    items += [Annotation(ids.get(name, IGNORED), "tag", name=name) for name in _flags(content)]
    background = ids.get(BACKGROUND, IGNORED)
    annotations = Annotations(str(path), size, tuple(items), "labelme", background, image=image)
    return Item(path.stem, pixels, annotations)


def _flags(content: dict[str, Any]) -> list[str]:
    """The flags that are set for a whole image."""
    flags = content.get("flags")
    return [str(name) for name, value in flags.items() if value is True] if isinstance(flags, dict) else []


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
