"""COCO's instance annotations: one JSON file of outlines and run-length masks for each split.

Source of the format and of the data set of that name: cocodataset.org; Lin et al., Microsoft COCO: Common Objects in
Context, ECCV 2014. Terms of that data set: the annotations CC BY 4.0; the images belong to their owners on Flickr,
under Flickr's terms. Class names come from the file. Colours are PASCAL VOC's rule, for the format has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fullconv.data.description import Description
from fullconv.data.layouts.base import SPLIT_NAMES, Found, child
from fullconv.data.layouts.coco_json import (
    Categories,
    categories,
    image_folder,
    image_paths,
    is_public,
    read_json,
    same_categories,
    split_files,
)
from fullconv.data.layouts.coco_regions import Regions
from fullconv.data.spec import Item
from fullconv.errors import DataError, first_few
from fullconv.images.files import image_size
from fullconv.spec import ClassSet

PREFIX = "instances_"
SINGLE = ("annotations.json", "_annotations.coco.json")
KEYS = ("images", "annotations", "categories")


class _File:
    """One JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[Any, tuple[str, Any, Any]] = {}
        self.regions: dict[Any, Regions] = {}
        self.count = self.crowds = self.skipped = 0
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
            raise DataError(f"{self.path}: no annotation has an outline or a mask, only boxes; export segmentations")
        lost = [str(image) for image in self.regions if image not in self.images]
        if lost:
            raise DataError(
                f"{self.path}: has annotations of {len(lost)} images that its list of images does not name "
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

    def items(self, root: Path, split: str, ids: dict[int, int]) -> list[Item]:
        """An item for each image, in the order of the file; ``ids`` has the class of each category."""
        names = [name for name, _, _ in self.images.values()]
        paths = image_paths(image_folder(root, split, names[0]), names, self.path)
        items = []
        for (image, (name, height, width)), path in zip(self.images.items(), paths, strict=True):
            given = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
            size = (height, width) if given else image_size(path)
            labels = self.regions.pop(image, Regions()).pack(str(self.path), name, size, ids)
            items.append(Item(Path(name).with_suffix("").as_posix(), path, labels=labels))
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
            kept = regions.add(entry["category_id"], entry.get("segmentation") or [])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{self.path}: annotation {entry.get('id', self.count)} has a segmentation that is neither outlines "
                "[[x, y, x, y, ...], ...] nor run lengths {size, counts}; export the file again"
            ) from error
        self.crowds += kept and bool(entry.get("iscrowd"))
        self.skipped += not kept


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def recognise_coco(root: Path, description: Description) -> Found | None:
    """COCO instances: ``annotations/instances_train2017.json`` and ``train2017`` or ``images/train2017``, ...

    Or one ``annotations.json`` (``_annotations.coco.json``) beside the images, in the root or in split folders.
    Classes are the background, then the categories in the order of their ids.
    """
    files = {split: (root, path) for split, path in split_files(root / "annotations", PREFIX).items()}
    if not files:
        files = {split: (folder, path) for split, folder in _folders(root).items() if (path := _single(folder))}
    if "train" not in files and (path := _single(root)):
        files = {"": (root, path)}
    if not files:
        return None
    read = {split: _File(path) for split, (_, path) in files.items()}
    if all(file.path.name == SINGLE[0] and not file.is_coco for file in read.values()):
        return None
    used = set().union(*(file.used() for file in read.values()))
    projects = {name for file in read.values() for name in file.drop_projects(used)}
    found = same_categories({file.path: file.check() for file in read.values()})
    names, ids, said = _classes(next(iter(read.values())).path, found)
    reasons = [
        f"{', '.join(dict.fromkeys(file.path.name for file in read.values()))}: COCO instances, {len(names)} classes, "
        f"the categories in the order of their ids after the background ({said})",
        "drawn as pycocotools draws them, smaller regions over larger; what no region covers is background",
    ]
    if projects:
        reasons.append(f"category {', '.join(sorted(projects))} groups the others and is on no image: left out")
    reasons += _counted(list(read.values()))
    splits = {}
    for split, file in read.items():
        name = file.path.stem
        folder = name.removeprefix(PREFIX) if name.startswith(PREFIX) else "images"
        splits[split] = file.items(files[split][0], folder, ids)
    return Found("coco", reasons, splits, ClassSet(names), public=all(is_public(file.path) for file in read.values()))


def _folders(root: Path) -> dict[str, Path]:
    found = {split: child(root, names) for split, names in SPLIT_NAMES}
    return {split: folder for split, folder in found.items() if folder is not None}


def _single(folder: Path) -> Path | None:
    return next((folder / name for name in SINGLE if (folder / name).is_file()), None)


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


def _counted(files: list[_File]) -> list[str]:
    crowds, skipped = sum(file.crowds for file in files), sum(file.skipped for file in files)
    bare = sum(not file.regions.get(image, Regions()).categories for file in files for image in file.images)
    said = []
    if crowds:
        said.append(f"{crowds} crowd regions (iscrowd) belong to their class like any other")
    if bare:
        said.append(f"{bare} images without a region are all background")
    if skipped:
        said.append(f"{skipped} annotations without an outline of three points or a mask are left out")
    return said
