"""Plain folders of images and masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fullconv.data.decode import IMAGE_SUFFIXES
from fullconv.data.description import Description
from fullconv.data.layouts.base import SPLIT_NAMES, Found, child, image_files, lines
from fullconv.data.spec import Item
from fullconv.errors import DataError, first_few

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos", "inputs")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt", "segmentation", "targets")
MASK_ENDINGS = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L", "_P", "_labelIds")


def recognise_folder(root: Path, description: Description) -> Found | None:
    """Plain folders of images and masks, with split folders or lists or neither."""
    split_roots = {split: sub for split, sub in _split_folders(root).items() if _pair_folders(sub, description)}
    if "train" in split_roots:
        lost = [sub for split, sub in _split_folders(root).items() if split not in split_roots and split != "test"]
        if lost:
            raise DataError(f"{lost[0]}: has no folders images and masks, unlike train; name them so, or move it")
        splits = {}
        for split, sub in split_roots.items():
            folders = _pair_folders(sub, description)
            assert folders
            splits[split] = _paired(*folders, description)
        return Found("folder", [f"split folders {', '.join(split_roots)}, each with images and masks"], splits)
    folders = _pair_folders(root, description)
    if folders is None:
        return None
    images, masks = folders
    inside = _split_folders(images)
    if inside:
        splits, bare = {}, ""
        for split, sub in inside.items():
            mask_sub = masks / sub.name
            if not mask_sub.is_dir() and split == "test":
                bare = f"{images.name}/{sub.name} has no masks and is left out"
                continue
            if not mask_sub.is_dir():
                raise DataError(f"{sub} holds images, but {mask_sub} is missing; give it the masks of that split")
            splits[split] = _paired(sub, mask_sub, description)
        reasons = [f"{images.name}/ and {masks.name}/ with folders {', '.join(inside)}"]
        return Found("folder", [*reasons, *([bare] if bare else [])], splits)
    items = _paired(images, masks, description)
    lists = description.splits or _split_lists(root)
    reasons = [f"folders {images.name}/ and {masks.name}/, paired by name"]
    if lists:
        return Found("folder", [*reasons, f"split lists {', '.join(lists.values())}"], _by_lists(root, items, lists))
    return Found("folder", reasons, {"": items})


def _split_folders(root: Path) -> dict[str, Path]:
    found = {split: child(root, names) for split, names in SPLIT_NAMES}
    return {split: path for split, path in found.items() if path is not None}


def _split_lists(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for split, names in SPLIT_NAMES:
        for name in names:
            for place in ("", "splits/", "lists/"):
                if (root / f"{place}{name}.txt").is_file():
                    found.setdefault(split, f"{place}{name}.txt")
    return found


def _pair_folders(root: Path, description: Description) -> tuple[Path, Path] | None:
    images = root / description.images if description.images else child(root, IMAGE_FOLDERS)
    masks = root / description.masks if description.masks else child(root, MASK_FOLDERS)
    if images is None or masks is None or images == masks:
        return None
    return (images, masks) if images.is_dir() and masks.is_dir() else None


def _paired(images: Path, masks: Path, description: Description) -> list[Item]:
    """Pair images with masks by name; refuse images that have none."""
    pictures = image_files(images)
    mask_paths = image_files(masks)
    if not pictures:
        raise DataError(f"{images}: no images found; expected {', '.join(IMAGE_SUFFIXES)}")
    if not mask_paths:
        raise DataError(f"{masks}: no masks found; expected PNG files named like the images")
    by_name: dict[str, Path] = {}
    for path in mask_paths:
        key = _key(path, masks)
        if key in by_name:
            raise DataError(f"{masks}: {by_name[key].name} and {path.name} have one name; keep one mask per image")
        by_name[key] = path
    endings = (description.mask_suffix,) if description.mask_suffix else MASK_ENDINGS
    keys = [_key(path, images) for path in pictures]
    named: dict[str, Path] = {}
    for path, key in zip(pictures, keys, strict=True):
        if named.setdefault(key, path) != path:
            raise DataError(f"{images}: {named[key].name} and {path.name} have one name; keep one image per mask")
    ending = max(endings, key=lambda ending: sum(f"{key}{ending}" in by_name for key in keys))
    bare = [p.name for p, key in zip(pictures, keys, strict=True) if f"{key}{ending}" not in by_name]
    if len(bare) == len(pictures):
        raise DataError(
            f"{images}: no image has a mask in {masks.name}/ (for {pictures[0].name} expected "
            f"{pictures[0].stem}.png, found {mask_paths[0].name}); name the masks like the images, or give "
            "mask_suffix in dataset.yaml"
        )
    if bare:
        raise DataError(
            f"{images}: {len(bare)} of {len(pictures)} images have no mask ({first_few(bare)}); "
            "add the masks, or move these images away"
        )
    return [Item(key, p, by_name[f"{key}{ending}"]) for p, key in zip(pictures, keys, strict=True)]


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _by_lists(root: Path, items: Sequence[Item], lists: dict[str, str]) -> dict[str, Sequence[Item]]:
    known = {item.id: item for item in items}
    for item in items:  # lists may name the bare stem of a file in a subfolder
        known.setdefault(item.image.stem, item)
    splits: dict[str, Sequence[Item]] = {}
    for split, name in lists.items():
        path = root / name
        if not path.is_file():
            raise DataError(f"{path}: split {split!r} is said to be listed there, but there is no such file")
        ids = [re.split(r"[\s,]+", line)[0] for line in lines(path)]
        stems = [PurePosixPath(i.replace("\\", "/")) for i in ids]
        chosen = [
            known.get(
                s.with_suffix("").as_posix() if s.suffix.lower() in IMAGE_SUFFIXES else s.as_posix(),
                known.get(s.stem if s.suffix.lower() in IMAGE_SUFFIXES else s.name),
            )
            for s in stems
        ]
        missing = [i for i, item in zip(ids, chosen, strict=True) if item is None]
        if missing:
            raise DataError(f"{path}: {len(missing)} of {len(ids)} entries name no image ({first_few(missing)})")
        splits[split] = [item for item in chosen if item is not None]
    return splits
