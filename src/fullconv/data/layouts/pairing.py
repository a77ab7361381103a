"""Images and their masks, paired by name."""

from __future__ import annotations

import os
from pathlib import Path

from fullconv.data.layouts.base import image_files
from fullconv.data.spec import Item
from fullconv.errors import DataError, first_few
from fullconv.images.files import IMAGE_SUFFIXES

MASK_ENDINGS = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L", "_P", "_labelIds")
MOSTLY = 0.8
"""Share of the images that must have a mask side by side, before a folder is taken for such data."""


def paired(images: Path, masks: Path, suffix: str = "") -> list[Item]:
    """Pair images with masks by name; refuse images that have none."""
    pictures = image_files(images)
    mask_paths = image_files(masks)
    if not pictures:
        raise DataError(f"{images}: no images found; expected {', '.join(IMAGE_SUFFIXES)}")
    if not mask_paths:
        outlines = next(masks.rglob("*.txt"), None)
        said = f"found {outlines.name}: YOLO's outlines need a data.yaml with names beside" if outlines else ""
        raise DataError(f"{masks}: no masks found; {said or 'expected PNG files named like the images'}")
    by_name: dict[str, Path] = {}
    for path in mask_paths:
        key = _key(path, masks)
        if key in by_name:
            raise DataError(f"{masks}: {by_name[key].name} and {path.name} have one name; keep one mask per image")
        by_name[key] = path
    endings = (suffix,) if suffix else MASK_ENDINGS
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
            f"{keys[0]}{suffix}.png, found {mask_paths[0].relative_to(masks)}); name the masks like the images, or "
            "give mask_suffix in dataset.yaml"
        )
    if bare:
        raise DataError(
            f"{images}: {len(bare)} of {len(pictures)} images have no mask ({first_few(bare)}); "
            "add the masks, or move these images away"
        )
    return [Item(key, p, by_name[f"{key}{ending}"]) for p, key in zip(pictures, keys, strict=True)]


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def paired_within(folder: Path, suffix: str = "") -> list[Item] | None:
    """Items of one folder that holds images and masks side by side, the masks' names ending in one of the endings.

    Args:
        folder: the folder; what lies below it belongs to it only where ``suffix`` is given.
        suffix: the ending, where it is known.

    Returns:
        None where hardly an image has such a mask, and no suffix says that it should.

    Raises:
        DataError: images without a mask, masks without an image, or two files of one name.
    """
    paths = image_files(folder) if suffix else _images_in(folder)
    files: dict[str, Path] = {}
    twice = [path.name for path in paths if files.setdefault(_key(path, folder), path) != path]
    endings = (suffix,) if suffix else MASK_ENDINGS[1:]
    ending = max(endings, key=lambda ending: sum(f"{key}{ending}" in files for key in files))
    masks, taken = dict[str, str](), set[str]()
    for key in sorted(files, key=len):  # face.jpg, face_mask.jpg and face_mask_mask.jpg: the shortest is an image
        if key not in taken and f"{key}{ending}" in files:
            masks[key] = f"{key}{ending}"
            taken.add(f"{key}{ending}")
    rest = sorted(set(files) - set(masks) - taken)
    if not suffix and len(masks) < MOSTLY * (len(masks) + len(rest)):
        return None
    lonely = [files[key].name for key in rest if key.endswith(ending)]
    bare = [files[key].name for key in rest if not key.endswith(ending)]
    if twice:
        raise DataError(f"{folder}: {first_few(twice)} have one name with others; keep one image and one mask of it")
    if bare:
        raise DataError(
            f"{folder}: {len(bare)} of {len(masks) + len(bare)} images have no mask ({first_few(bare)}; expected names "
            f"that end in {ending}.png); add the masks, or move these images away"
        )
    if lonely:
        raise DataError(f"{folder}: {len(lonely)} masks have no image ({first_few(lonely)}); add it, or move them away")
    return [Item(key, files[key], files[mask]) for key, mask in sorted(masks.items())]


def holds_images(folder: Path) -> bool:
    """Whether image files lie in the folder itself."""
    return bool(_images_in(folder))


def _images_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    return [folder / name for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
