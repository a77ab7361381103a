"""COCO's instance annotations: one JSON file of outlines and run-length masks for each split.

Source of the format and of the data set of that name: cocodataset.org; Lin et al., Microsoft COCO: Common Objects in
Context, ECCV 2014. Terms of that data set: the annotations CC BY 4.0; the images belong to their owners on Flickr,
under Flickr's terms. Class names come from the file. Colours are PASCAL VOC's rule, for the format has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fullconv.data.dataset import Item
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found
from fullconv.formats.read.coco_files import (
    PREFIX,
    SINGLE,
    by_split,
    folders_of,
    image_folder,
    image_paths,
    instance_files,
    unused,
)
from fullconv.formats.read.coco_json import Categories, categories, is_public, read_json, same_categories
from fullconv.formats.read.coco_regions import Regions
from fullconv.formats.read.exports import by_subset
from fullconv.images.files import image_size
from fullconv.spec import ClassSet
from fullconv.text import note, read_text

KEYS = ("images", "annotations", "categories")


class _File:
    """One JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[Any, tuple[str, Any, Any]] = {}
        self.regions: dict[Any, Regions] = {}
        self.count = self.crowds = self.skipped = self.boxes = 0
        self.content = read_json(path, {"images": self._image, "annotations": self._annotation})

    @property
    def is_coco(self) -> bool:
        return all(key in self.content for key in KEYS)

    def check(self) -> Categories:
        """The file's categories, if all of it fits together.

        Raises:
            DataError: it does not.
        """
        if not self.is_coco:
            missing = [key for key in KEYS if key not in self.content]
            raise DataError(f"{self.path}: has no {' and no '.join(missing)}; expected COCO's instance annotations")
        if not self.images:
            raise DataError(f"{self.path}: names no image; expected COCO's instance annotations")
        if self.count and self.skipped == self.count:
            raise DataError(f"{self.path}: no annotation has an outline, a mask or a box; export segmentations")
        lost = [str(image) for image in self.regions if image not in self.images]
        if lost:
            raise DataError(
                f"{self.path}: has annotations of {plural(len(lost), 'image')} that its list of images does not name "
                f"(image_id {first_few(lost)}); export the file again"
            )
        return categories(self.path, self.content)

    def used(self) -> set[int]:
        """Categories that annotations name."""
        return {category for regions in self.regions.values() for category in regions.categories}

    def drop_projects(self, used: set[int]) -> list[str]:
        """Take out what Roboflow writes first: the project as a category, which groups the others and is never used."""
        listed = self.content.get("categories")
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        groups = {entry.get("supercategory") for entry in entries}
        projects = [
            entry
            for entry in entries
            if entry.get("supercategory") == "none" and entry.get("name") in groups and entry.get("id") not in used
        ]
        if projects:
            self.content["categories"] = [entry for entry in entries if entry not in projects]
        return [str(entry["name"]) for entry in projects]

    @property
    def has_masks(self) -> bool:
        """Whether label maps can be made of it; a file without any annotation says that all is background."""
        return self.count == 0 or self.boxes + self.skipped < self.count

    def items(
        self, root: Path, split: str, ids: dict[int, int], classes: tuple[str, ...], problems: Problems
    ) -> list[Item]:
        """An item for each image, in the order of the file; ``ids`` has the class of each category."""
        names = [name for name, _, _ in self.images.values()]
        places = folders_of(self.path, root, split)
        free = not self.path.name.lower().startswith(PREFIX)
        paths = image_paths(image_folder(root, places, names, anywhere=free), names, self.path, problems)
        items = []
        for (image, (name, height, width)), path in zip(self.images.items(), paths, strict=True):
            if path is None:
                continue
            given = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
            size = (height, width) if given else image_size(path)
            labels = self.regions.pop(image, Regions())
            packed = labels.pack(str(self.path), name, size, ids, path, classes, self.has_masks)
            items.append(Item(Path(name).with_suffix("").as_posix(), FileImage(path), packed))
        return items

    def _image(self, entry: Any) -> None:
        if not (isinstance(entry, dict) and _is_id(entry.get("id")) and isinstance(entry.get("file_name"), str)):
            raise DataError(f"{self.path}: an image without id or file_name: {str(entry)[:60]}; export the file again")
        if entry["id"] in self.images:
            raise DataError(f"{self.path}: two images have id {entry['id']}; give each its own")
        name = entry["file_name"].replace("\\", "/")
        self.images[entry["id"]] = name, entry.get("height"), entry.get("width")

    def _annotation(self, entry: Any) -> None:
        self.count += 1
        if not (
            isinstance(entry, dict) and _is_id(entry.get("image_id")) and isinstance(entry.get("category_id"), int)
        ):
            raise DataError(
                f"{self.path}: annotation {self.count} has no image_id or category_id; export the file again"
            )
        regions = self.regions.setdefault(entry["image_id"], Regions())
        try:
            kept = regions.add(entry)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{self.path}: annotation {entry.get('id', self.count)} has a segmentation that is neither outlines "
                "[[x, y, x, y, ...], ...] nor run lengths {size, counts}; export the file again"
            ) from error
        self.crowds += kept == "mask" and bool(entry.get("iscrowd"))
        self.boxes += kept == "box"
        self.skipped += kept is None


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def recognise_coco(root: Path, description: Description, problems: Problems) -> Found | None:
    """COCO instances: ``annotations/instances_train2017.json`` and ``train2017`` or ``images/train2017``, ...

    Or JSON files of any name beside the images, in ``annotations``, or in split folders; which split a file is, its
    name says, or its folder's. Files of no split are joined, or left out where another is train. Classes are the
    background, then the categories in the order of their ids.
    """
    paths = instance_files(root)
    files = {path: file for path in paths if (file := _read(path)) is not None}
    if not files:
        return None
    splits_of = by_split(files, root)
    left_out = unused(splits_of)
    read = {path: file for path, file in files.items() if path not in left_out}
    used = set().union(*(file.used() for file in read.values()))
    projects = {name for file in read.values() for name in file.drop_projects(used)}
    found = same_categories({file.path: file.check() for file in read.values()})
    names, ids, said = _classes(next(iter(read)), found)
    reasons = [
        f"{', '.join(dict.fromkeys(file.path.name for file in read.values()))}: COCO instances, "
        f"{plural(len(names), 'class')}, the categories in the order of their ids after the background ({said})",
        "drawn as pycocotools draws them, smaller regions over larger; what no region covers is background",
    ]
    if projects:
        reasons.append(f"category {', '.join(sorted(projects))} groups the others and is on no image: left out")
    reasons += _notes(list(read.values()))
    if left_out:
        count = sum(len(files[path].images) for path in left_out)
        said = first_few([path.name for path in left_out])
        reasons.append(
            f"{said}: of no split by its name, {plural(count, 'image')} left out: another file is named train"
        )
    splits = {
        split: [
            item for path in members if path in read for item in read[path].items(root, split, ids, names, problems)
        ]
        for split, members in splits_of.items()
        if members != left_out
    }
    if "" in splits and len(splits) > 1:
        splits = {split: list(items) for split, items in by_subset(splits, reasons).items()}
    _refuse_twice(root, splits)
    public = all(is_public(path, found) for path in read)
    return Found("coco", reasons, splits, ClassSet(names), public=public)


def _read(path: Path) -> _File | None:
    """A file; None for one whose name does not say that it is COCO's, and whose content is not."""
    if path.name.lower().startswith(PREFIX) or path.name == SINGLE[1]:
        return _File(path)
    try:
        file = _File(path)
    except DataError:
        if all(f'"{key}"' in read_text(path) for key in KEYS):
            raise
        note(path, used=False)
        return None
    note(path, used=file.is_coco)
    return file if file.is_coco else None


def _refuse_twice(root: Path, splits: Mapping[str, Sequence[Item]]) -> None:
    """Two files that label one image cannot both be right; two splits may, which a check reports."""
    for items in splits.values():
        names = Counter(path for item in items for path in item.image.files)
        twice = [path.name for path, count in names.items() if count > 1]
        if twice:
            raise DataError(
                f"{root}: {plural(len(twice), 'image', 'is')} named twice, in one JSON file or in two "
                f"({first_few(twice)}); keep one file, or name them train.json and val.json"
            )


def _classes(path: Path, found: Categories) -> tuple[tuple[str, ...], dict[int, int], str]:
    """Class names, the class of each category, and where the background comes from."""
    names = {key: str(entry["name"]) for key, entry in found.items()}
    backgrounds = [key for key, name in names.items() if name.strip("_ ").lower() == "background"]
    if len(backgrounds) > 1:
        raise DataError(f"{path}: categories {first_few([names[key] for key in backgrounds])} are background; keep one")
    order = [key for key in names if key not in backgrounds]
    ids = {key: index for index, key in enumerate(order, 1)} | dict.fromkeys(backgrounds, 0)
    first = names[backgrounds[0]] if backgrounds else "background"
    said = f"category {backgrounds[0]}, {first}" if backgrounds else "not a category: added"
    return (first, *(names[key] for key in order)), ids, said


def _notes(files: list[_File]) -> list[str]:
    crowds, skipped, boxes = (sum(getattr(file, name) for file in files) for name in ("crowds", "skipped", "boxes"))
    masked = [file for file in files if file.has_masks]
    images = [file.regions.get(image, Regions()) for file in masked for image in file.images]
    bare, boxed = sum(not one.categories for one in images), sum(one.boxes_alone for one in images)
    short = sum(regions.short for file in files for regions in file.regions.values())
    said = []
    if crowds:
        said.append(f"{crowds} crowd regions (iscrowd) belong to their class like any other")
    if bare:
        said.append(f"{plural(bare, 'image without a region', 'is')} all background")
    if short:
        said.append(f"{plural(short, 'outline of fewer than three points', 'is')} left out")
    if boxes:
        said.append(f"{plural(boxes, 'annotation', 'has')} a box and no outline or mask: kept, and not drawn")
    if boxed:
        said.append(f"{plural(boxed, 'image', 'has')} boxes only: all of the label map is background")
    if skipped:
        said.append(f"{plural(skipped, 'annotation without an outline of three points or a mask', 'is')} left out")
    return said
