"""PASCAL VOC's boxes without masks: ``Annotations/*.xml``, or XML files beside the images, as many tools export it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fullconv.data.annotations import IGNORED
from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files, lines
from fullconv.formats.read.exports import classes_of, inside, marked
from fullconv.formats.read.folder import IMAGE_FOLDERS, MASK_FOLDERS
from fullconv.formats.read.names import spot
from fullconv.formats.read.voc import VOC_CLASSES, VOC_NAMES
from fullconv.formats.read.voc_xml import boxes_of
from fullconv.formats.read.xml import parse_xml
from fullconv.images.files import IMAGE_SUFFIXES, drawn_size
from fullconv.text import head_of

NOTES = ("annotations", "annotation", "labels", "xml", "xmls")


def recognise_voc_boxes(root: Path, description: Description, problems: Problems) -> Found | None:
    """XML files of VOC in ``Annotations``, beside the images, or in split folders; lists in ``ImageSets/Main``.

    Where masks lie in a folder of masks, these are the data. Boxes alone make no label map: a check describes them.
    """
    files = _files(root)
    if not files or any(image_files(folder) for name in MASK_FOLDERS if (folder := child(root, (name,))) is not None):
        return None
    trees = {path: parse_xml(path, "VOC") for paths in files.values() for path in paths}
    counts = Counter(thing.findtext("name", "").strip() for tree in trees.values() for thing in tree.iterfind("object"))
    reasons = ["XML files of objects with boxes: PASCAL VOC's form, without masks"]
    if counts and set(counts) <= set(VOC_NAMES) and description.class_set() is None:
        classes = VOC_CLASSES
        reasons.append(f"classes are VOC's own {len(VOC_NAMES)}: the names are among them")
    else:
        classes, _ = classes_of(sorted(filter(None, counts)), (), description, root, reasons)
    ids = {name: index for index, name in enumerate(classes.names)}
    items: dict[str, list[Item]] = {split: [] for split in files}
    for split, paths in files.items():
        bare = []
        for path in paths:
            image = _image(root, path, trees[path])
            if image is None:
                bare.append(path)
                continue
            with problems.catching("unreadable"):
                boxes, size = boxes_of(path, trees[path], ids), _size(path, trees[path], image)
                annotations = Annotations(str(path), size, boxes, "coco", IGNORED, image=image)
                items[split].append(Item(path.stem, FileImage(image), annotations))
        if bare:
            problems.report(
                "unpaired",
                f"{root}: {len(bare)} of {len(paths)} XML files have no image ({first_few([p.name for p in bare])})",
                "add the images, or take the files away", bare,
            )  # fmt: skip
    listed = _listed(root, items, reasons)
    return Found("voc_boxes", reasons, marked(listed, reasons), classes)


def _files(root: Path) -> dict[str, list[Path]]:
    """VOC's XML files by split, ``""`` for none."""
    parts = {split: folder for split, names in SPLIT_NAMES if (folder := child(root, names)) is not None}
    for folders in ({"": child(root, NOTES) or root}, parts):
        found = {split: _in_folder(folder) for split, folder in folders.items()}
        if any(found.values()):
            return {split: paths for split, paths in found.items() if paths}
    return {}


def _in_folder(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.xml"))
    return paths if paths and "<annotation>" in head_of(paths[0]) else []


def _image(root: Path, path: Path, tree: ET.Element) -> Path | None:
    """The image by the file's own name, else by the one that it states; beside it, or in a folder of images."""
    stated = inside(tree.findtext("filename", "")).name
    names = [*(f"{path.stem}{suffix}" for suffix in IMAGE_SUFFIXES), *([stated] if stated else [])]
    folders = [path.parent, *(folder for name in IMAGE_FOLDERS if (folder := child(root, (name,))) is not None)]
    there = (spot(folder / name) for name in names for folder in folders)
    return next((one for one in there if one is not None and one.suffix.lower() in IMAGE_SUFFIXES), None)


def _size(path: Path, tree: ET.Element, image: Path) -> tuple[int, int]:
    """``(height, width)`` that the boxes were drawn on: as stated, else of the image as it is shown.

    Raises:
        DataError: the image has another size.
    """
    height, width = (int(text) if text.isdigit() else 0 for text in _stated(tree))
    stated = (height or None, width or None)  # tools that do not know it write 0
    size, same = drawn_size(image, stated)
    if not same:
        raise DataError(
            f"{path}: labelled at {width}x{height}, but {image.name} is {size[1]}x{size[0]}; give the image that was "
            "labelled, or correct its <size>"
        )
    return size


def _stated(tree: ET.Element) -> tuple[str, str]:
    return tree.findtext("size/height", "").strip(), tree.findtext("size/width", "").strip()


def _listed(root: Path, items: dict[str, list[Item]], reasons: list[str]) -> dict[str, Sequence[Item]]:
    """Splits by the lists of ``ImageSets/Main``, where there are such for files of no split."""
    lists = {split: root / "ImageSets" / "Main" / f"{split}.txt" for split, _ in SPLIT_NAMES}
    lists = {split: path for split, path in lists.items() if path.is_file()}
    if "" not in items or not lists:
        return dict(items)
    known = {item.id: item for item in items[""]}
    splits = {
        split: [known[name] for line in lines(path) if (name := line.split()[0]) in known]
        for split, path in lists.items()
    }
    left = len(known) - len({item.id for members in splits.values() for item in members})
    missing = sum(line.split()[0] not in known for path in lists.values() for line in lines(path))
    reasons.append(f"splits by ImageSets/Main ({', '.join(path.name for path in lists.values())})")
    if left:
        reasons.append(f"{left} XML files are on none of these lists and left out")
    if missing:
        reasons.append(f"{plural(missing, 'entry of these lists', 'has')} no XML file: left out")
    return {split: members for split, members in splits.items() if members}
