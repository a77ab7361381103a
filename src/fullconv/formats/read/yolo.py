"""YOLO segmentation folders, as Ultralytics reads and Roboflow and CVAT write them.

Format: Ultralytics' documentation, "Instance Segmentation Datasets". The licence is that of whoever made the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.annotations import Annotation, Kind, box_ring
from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.files import read_yaml
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files, lines
from fullconv.formats.read.exports import classes_of, inside, marked, split_of
from fullconv.formats.read.names import spot
from fullconv.formats.read.yolo_lines import BOX_NUMBERS, Line, read_lines
from fullconv.images.files import IMAGE_SUFFIXES, image_size

FILE_NAMES = ("data.yaml", "data.yml")


def recognise_yolo(root: Path, description: Description, problems: Problems) -> Found | None:
    """YOLO: ``data.yaml`` with ``names``; ``labels`` mirrors ``images``, a text file of outlines for each image.

    Background is class 0, the names follow. Lines ``class x y x y ...`` are outlines, lines of five numbers are boxes
    ``class centre_x centre_y width height``; a pose is a box and points. All are in shares of the image's width and
    height, later lines over earlier ones. Beside outlines boxes are drawn, as rectangles; boxes alone make no label
    map. An image without a text file, or with an empty one, is all background.
    """
    path = next((root / name for name in FILE_NAMES if (root / name).is_file()), None)
    if path is None:
        return None
    content = read_yaml(path, DataError, "fields such as 'names: [cat, dog]'")
    if "names" not in content:
        return None
    reasons = [f"{path.name} with names: YOLO segmentation, outlines drawn by Pillow, later lines over earlier ones"]
    pictures = _pictures(root, path, content, reasons, problems)
    if not any(_label_file(image, root).is_file() for images in pictures.values() for image in images):
        if any(_label_file(image, root).with_suffix(".png").is_file() for image in pictures["train"]):
            return None  # masks, not outlines
        raise DataError(f"{path}: no image has a text file in labels/; export it again as YOLO segmentation")
    names = _names(path, content["names"])
    classes, background = classes_of(list(names.values()), (), description, path, reasons)
    ids = {number: classes.names.index(name) for number, name in names.items()}
    files = [_label_file(image, root) for images in pictures.values() for image in images]
    found = read_lines(path, content, [file for file in dict.fromkeys(files) if file.is_file()], ids)
    outlines = not found.count() or found.count() > found.boxes + found.poses
    empty = 0
    splits: dict[str, Sequence[Item]] = {}
    for split, images in pictures.items():
        if not any(_label_file(image, root).is_file() for image in images):
            if split == "train":
                raise DataError(f"{path}: no training image has a text file in labels/; export it again")
            reasons.append(f"{split} has no text files in labels/ and is left out")
            continue
        items = []
        for image in images:
            label_file = _label_file(image, root)
            rows = found.rows.get(label_file, [])
            empty += not rows
            items.append(_item(_key(image, root), image, label_file, rows, classes.names, ids, background, outlines))
        splits[split] = items
    drawn = "drawn as rectangles" if outlines else "not drawn, for there is no outline"
    if found.boxes:
        reasons.append(f"{found.boxes} of {found.count()} lines are boxes, {drawn}")
    if found.poses:
        reasons.append(f"{found.poses} of {found.count()} lines are poses, boxes and points, {drawn}")
    if empty:
        reasons.append(f"{plural(empty, 'image', 'has')} no line: all of it is what no region covers")
    return Found("yolo", reasons, marked(splits, reasons), classes)


def _names(path: Path, names: object) -> dict[int, str]:
    """Class number -> name, in the order of the numbers."""
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(number, int) for number in names):
        raise DataError(f"{path}: names is {str(names)[:60]!r}; expected [cat, dog] or {{0: cat, 1: dog}}")
    return {number: str(names[number]) for number in sorted(names)}


def _pictures(
    root: Path, path: Path, content: dict[str, Any], reasons: list[str], problems: Problems
) -> dict[str, list[Path]]:
    """The images of each split that is stated, or else of each folder named like a split."""
    stated = {split: next((content[n] for n in names if content.get(n)), None) for split, names in SPLIT_NAMES}
    found: dict[str, list[Path]] = {}
    for split, places in stated.items():
        if places is None and stated["train"] is not None:
            continue
        texts = [str(place) for place in (places if isinstance(places, list) else [places] if places else [])]
        spots = [spot for text in texts if (spot := _spot(root, text)) is not None]
        if len(spots) < max(1, len(texts)):
            beside = _beside(root, split)
            spots = [beside] if beside else []
        images = [
            image
            for spot in spots
            for image in (_listed(root, spot, problems) if spot.is_file() else image_files(spot))
        ]
        if images:
            found[split] = images
        elif texts and split != "train":
            reasons.append(f"{split} ({first_few(texts)}) is not there and is left out")
    if "train" not in found:
        raise DataError(
            f"{path}: no images where train points ({content.get('train', 'nowhere')}), nor in train/images or "
            f"images/train beside {path.name}; correct the path"
        )
    return found


def _spot(root: Path, text: str) -> Path | None:
    """The folder or list that a path of ``data.yaml`` means: its end that lies in ``root``, the longest.

    Paths often are another machine's, or begin with ``..`` that leads nowhere. What names a split is never dropped.
    """
    parts = inside(text).parts
    last = max((place for place, part in enumerate(parts) if split_of(part)), default=len(parts) - 1)
    ends = [root.joinpath(*parts[start:]) for start in range(min(last, len(parts) - 1) + 1)]
    return next((there for end in ends if (there := spot(end)) is not None), None)


def _beside(root: Path, split: str) -> Path | None:
    names = next(names for name, names in SPLIT_NAMES if name == split)
    folder, images = child(root, names), child(root, ("images",))
    if folder is not None:
        return child(folder, ("images",)) or folder
    return child(images, names) if images else None


def _listed(root: Path, listing: Path, problems: Problems) -> list[Path]:
    """The images of a list, each by the end of its path that lies in ``root``."""
    names = lines(listing)
    found = [(name, _spot(root, name)) for name in names]
    there = {name: spot for name, spot in found if spot is not None and spot.suffix.lower() in IMAGE_SUFFIXES}
    missing = [name for name in names if name not in there]
    if missing:
        text = f"{listing}: {len(missing)} of {len(names)} images are missing ({first_few(missing)})"
        problems.report("unpaired", text, "add them, or take them off the list")
    return [there[name] for name in names if name in there]


def _label_file(image: Path, root: Path) -> Path:
    """The last folder ``images`` becomes ``labels``; without one the text file lies beside the image."""
    parts = list(image.relative_to(root).parts)
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"]
    if places:
        parts[places[-1]] = "labels"
    path = root.joinpath(*parts).with_suffix(".txt")
    return spot(path) or path


def _key(image: Path, root: Path) -> str:
    """The image's path below its folder ``images``, without the split's name and the suffix."""
    parts = image.relative_to(root).with_suffix("").parts
    start = max((place + 1 for place, part in enumerate(parts[:-1]) if part.lower() == "images"), default=0)
    return "/".join(part for place, part in enumerate(parts) if place >= start and not split_of(part)) or image.stem


def _item(
    key: str, image: Path, label_file: Path, rows: list[Line], names: tuple[str, ...], ids: dict[int, int],
    background: int, outlines: bool,
) -> Item:  # fmt: skip
    """An item; ``outlines``: whether the data set has any, and boxes are drawn beside them."""
    size = image_size(image)
    scale = np.array([size[1], size[0]])
    items = []
    for number, row in enumerate(rows):
        points, label = row.numbers[1:].reshape(-1, 2) * scale, ids[int(row.numbers[0])]
        box = len(row.numbers) == BOX_NUMBERS
        if box:
            (x, y), (width, height) = points
            points = box_ring(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        kind: Kind = "box" if box else "mask"
        items.append(Annotation(label, kind, (points,), None, names[label], number, drawn=outlines))
        if row.visible.any():
            places = row.points[row.visible, :2] * scale
            items.append(Annotation(label, "point", (places,), None, names[label], number))
    annotations = Annotations(str(label_file), size, tuple(items), "labelme", background, image=image)
    return Item(key, FileImage(image), annotations)
