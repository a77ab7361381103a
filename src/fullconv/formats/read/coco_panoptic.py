"""COCO's panoptic annotations: a JSON file and a folder of PNGs, whose colours are the ids of segments.

Source: panoptic_annotations_trainval2017.zip of cocodataset.org; Kirillov et al., Panoptic Segmentation, CVPR 2019.
Names come from the file, colours too where every category has one. Terms: the annotations CC BY 4.0; the images belong
to their owners on Flickr, under Flickr's terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.dataset import Item
from fullconv.data.sources import FileImage, LabelFile
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found
from fullconv.formats.read.coco_files import by_split, image_folder, image_paths, unused
from fullconv.formats.read.coco_json import Categories, categories, is_public, read_json, same_categories
from fullconv.images.mask_reading import read_mask
from fullconv.spec import ClassSet

PREFIX = "panoptic_"
VOID = 0
IDS = 2**24
"""Segments are three bytes."""


@dataclass(frozen=True, eq=False)
class PanopticLabels(LabelFile):
    """The segments of one image; a pixel's is R + 256 G + 65536 B.

    Attributes:
        segments: int32 ``[2, segments]``: ids, rising, and the class of each.
    """

    segments: np.ndarray

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it; segment 0 is ignored.

        Raises:
            DataError: not an RGB PNG, or one with a segment that the JSON file does not list.
        """
        mask = read_mask(self.path)
        shown = mask.packed() if mask.kind in ("colour", "palette") else None
        if shown is None:
            raise DataError(f"{self.path}: a panoptic map without colours; expected RGB, unpack it again")
        pixels = (shown >> 16) + (shown & 0xFF00) + ((shown & 0xFF) << 16)
        ids, classes = np.append(self.segments[0], np.int32(IDS)), np.append(self.segments[1], np.int32(0))
        place = np.searchsorted(ids, pixels)
        known, void = ids[place] == pixels, pixels == VOID
        if not (known | void).all():
            strange = [str(number) for number in np.unique(pixels[~(known | void)])]
            raise DataError(
                f"{self.path}: holds segments that the JSON file does not list for it ({first_few(strange)}); "
                "take the JSON file and the PNGs of one release"
            )
        labels = np.where(void, np.int32(ignore_index), classes[place])
        return labels.astype(np.uint8 if ignore_index <= 255 else np.int32)


class _File:
    """One JSON file: per image its PNG's name, and its segments' ids and categories."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[Any, str] = {}
        self.maps: dict[Any, tuple[str, np.ndarray]] = {}
        content = read_json(path, {"images": self._image, "annotations": self._annotation})
        self.categories = categories(path, content)
        lost = [str(image) for image in self.maps if image not in self.images]
        if lost or not self.maps:
            raise DataError(
                f"{path}: has {plural(len(self.maps), 'annotation')}, {len(lost)} of images that it does not list "
                f"({first_few(lost) or 'none'}); expected COCO's panoptic annotations"
            )

    def _image(self, entry: Any) -> None:
        try:
            self.images[entry["id"]] = str(entry["file_name"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{self.path}: an image without id or file_name: {str(entry)[:60]}") from error

    def _annotation(self, entry: Any) -> None:
        try:
            pairs = sorted((int(part["id"]), int(part["category_id"])) for part in entry["segments_info"])
            if any(not 0 <= number < IDS for number, _ in pairs):
                raise ValueError("ids are three bytes")
            self.maps[entry["image_id"]] = str(entry["file_name"]), np.array(pairs, np.int32).reshape(-1, 2).T
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{self.path}: annotation {len(self.maps) + 1} lacks image_id, file_name or segments_info with id and "
                "category_id; expected COCO's panoptic annotations"
            ) from error

    def items(self, root: Path, folder: Path, ids: dict[int, int], problems: Problems) -> list[Item]:
        names = [self.images[image] for image in self.maps]
        place = image_folder(root, [self.path.stem.removeprefix(PREFIX)], names)
        images = image_paths(place, names, self.path, problems)
        masks = image_paths(folder, [name for name, _ in self.maps.values()], self.path, problems)
        items = []
        for name, image, mask, (_, segments) in zip(names, images, masks, self.maps.values(), strict=True):
            if image is None or mask is None:
                continue
            strange = [str(category) for category in segments[1].tolist() if category not in ids]
            if strange:
                raise DataError(
                    f"{self.path}: {mask.name} has segments of category_id {first_few(strange)}, which its categories "
                    "do not list; add it there"
                )
            classes = np.array([ids[category] for category in segments[1].tolist()], np.int32)
            labels = PanopticLabels(mask, np.stack([segments[0], classes]))
            items.append(Item(Path(name).with_suffix("").as_posix(), FileImage(image), labels))
        return items


def recognise_coco_panoptic(root: Path, description: Description, problems: Problems) -> Found | None:
    """COCO panoptic: ``annotations/panoptic_train2017.json``, its PNGs in ``panoptic_train2017``.

    Classes are the categories in the order of their ids; segment 0 is void. Where the PNGs are still packed and
    instance annotations lie beside, these are left to :func:`fullconv.formats.read.coco.recognise_coco`.
    """
    notes = root / "annotations"
    named = by_split(sorted(notes.glob(f"{PREFIX}*.json")) or sorted(root.glob(f"{PREFIX}*.json")), root)
    left_out = unused(named)
    files = {split: paths[0] for split, paths in named.items() if paths != left_out}
    several = [paths for split, paths in named.items() if split in files and len(paths) > 1]
    if several:
        raise DataError(f"{several[0][0]} and {several[0][1].name} name no split; keep one of them there")
    if not files or ("train" not in files and next(notes.glob("instances_train*.json"), None)):
        return None
    folders = {split: _maps(root, path) for split, path in files.items()}
    if not any(folders.values()) and next(notes.glob("instances_*.json"), None):
        return None
    read = {}
    for split, path in files.items():
        if folders[split] is None:
            raise DataError(f"{path}: its PNGs are missing; unpack {path.stem}.zip into {path.parent / path.stem}")
        read[split] = _File(path)
    found = same_categories({file.path: file.categories for file in read.values()})
    ids = {category: index for index, category in enumerate(found)}
    splits = {split: file.items(root, folders[split] or root, ids, problems) for split, file in read.items()}
    reasons = [
        f"{', '.join(file.path.name for file in read.values())} with folders of PNGs: COCO panoptic, {len(ids)} "
        "classes, the categories in the order of their ids; segment 0 is void; segments of one class are joined"
    ]
    if left_out:
        names = first_few([path.name for path in left_out])
        reasons.append(f"{names}: of no split by its name, and left out: another file is named train")
    if next(notes.glob("instances_*.json"), None):
        reasons.append("instances_*.json are also there and not used; move the panoptic files away to use them")
    bare = sum(len(file.images) - len(file.maps) for file in read.values())
    if bare:
        reasons.append(f"{plural(bare, 'image that the files list without an annotation', 'is')} left out")
    classes = ClassSet(tuple(str(entry["name"]) for entry in found.values()), _palette(found))
    public = all(is_public(path, found) for path in files.values())
    return Found("coco_panoptic", reasons, splits, classes, public=public)


def _maps(root: Path, path: Path) -> Path | None:
    return next((folder for folder in (path.with_suffix(""), root / path.stem) if folder.is_dir()), None)


def _palette(found: Categories) -> tuple[tuple[int, int, int], ...]:
    """The categories' own colours, or none where one lacks it."""
    colours = [entry.get("color") for entry in found.values()]
    good = [
        (colour[0], colour[1], colour[2])
        for colour in colours
        if isinstance(colour, list) and len(colour) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in colour)
    ]
    return tuple(good) if len(good) == len(colours) else ()
