"""Plain folders of images and masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fullconv.data.decode import IMAGE_SUFFIXES
from fullconv.data.description import Description
from fullconv.data.layouts.base import SPLIT_NAMES, Found, child, lines
from fullconv.data.layouts.pairing import holds_images, paired, paired_within
from fullconv.data.spec import Item
from fullconv.errors import DataError, first_few

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos", "inputs")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt", "segmentation", "targets")
BESIDE = ("_labels", "_label", "_masks", "_mask", "annot", "_annot", "_annotations", "_gt", "_seg")
"""What the folder of masks beside a split's images has after its name."""


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
            splits[split] = paired(*folders, description.mask_suffix)
        return Found("folder", [f"split folders {', '.join(split_roots)}, each with images and masks"], splits)
    folders = _pair_folders(root, description)
    if folders is None:
        return _beside(root, description) or _together(root, description)
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
            splits[split] = paired(sub, mask_sub, description.mask_suffix)
        reasons = [f"{images.name}/ and {masks.name}/ with folders {', '.join(inside)}"]
        return Found("folder", [*reasons, *([bare] if bare else [])], splits)
    items = paired(images, masks, description.mask_suffix)
    lists = description.splits or _split_lists(root)
    reasons = [f"folders {images.name}/ and {masks.name}/, paired by name"]
    if lists:
        return Found("folder", [*reasons, f"split lists {', '.join(lists.values())}"], _by_lists(root, items, lists))
    return Found("folder", reasons, {"": items})


def _beside(root: Path, description: Description) -> Found | None:
    """``train`` with ``train_labels``, ``val`` with ``val_labels``, ..."""
    if description.images or description.masks or description.splits:
        return None
    parts = _split_folders(root)
    found = {
        split: (folder, masks)
        for split, folder in parts.items()
        if (masks := child(root, [folder.name.lower() + ending for ending in BESIDE])) is not None
    }
    if not found:
        return None
    said = ", ".join(f"{images.name} and {masks.name}" for images, masks in found.values())
    reasons = [f"folders {said}, paired by name", *_bare(parts, set(found), f"{next(iter(found.values()))[1].name}")]
    return Found("folder", reasons, {s: paired(*folders, description.mask_suffix) for s, folders in found.items()})


def _together(root: Path, description: Description) -> Found | None:
    """Images and masks side by side, in one folder or one per split: ``a.jpg`` and ``a_mask.png``."""
    if description.images != description.masks:
        return None
    folder = root / description.images
    if not folder.is_dir():
        return None
    suffix = description.mask_suffix
    parts = {} if description.splits else _split_folders(folder)
    splits = {split: items for split, sub in parts.items() if (items := paired_within(sub, suffix))}
    said = "images and masks side by side, paired by name"
    if splits:
        return Found("folder", [said, *_bare(parts, set(splits), "masks beside its images")], splits)
    items = paired_within(folder, suffix)
    if not items:
        return None
    lists = description.splits or _split_lists(folder)
    if lists:
        return Found("folder", [said, f"split lists {', '.join(lists.values())}"], _by_lists(folder, items, lists))
    return Found("folder", [said], {"": items})


def _bare(parts: dict[str, Path], found: set[str], what: str) -> list[str]:
    """What is said of a test split without masks.

    Raises:
        DataError: another split has none.
    """
    bare = [(split, folder) for split, folder in parts.items() if split not in found and holds_images(folder)]
    lost = [folder for split, folder in bare if split != "test"]
    if lost:
        raise DataError(f"{lost[0]}: holds images, but no masks, unlike the other split ({what}); add them, or move it")
    return [f"{folder.name} has no masks and is left out" for _, folder in bare]


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
