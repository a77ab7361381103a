"""Files in the folders of a data set that no split names."""

from __future__ import annotations

from pathlib import Path

from fullconv.data.dataset import DatasetSpec
from fullconv.data.sources import FileImage, FileMask
from fullconv.formats.read.base import image_files
from fullconv.formats.read.pairing_rules import MASK_ENDINGS

ONE_MASK_PER_IMAGE = ("folder", "voc", "camvid", "pets")
"""Layouts in whose folders every image could have a mask and every mask belongs to one image."""


def unlisted_files(spec: DatasetSpec, named: set[Path]) -> list[tuple[Path, list[str], str]]:
    """Folder, file names and what they are: images without a mask, masks without an image, pairs on no list.

    Args:
        named: files of which something is said already.
    """
    if spec.layout not in ONE_MASK_PER_IMAGE:
        return []
    pairs = [
        (item.image.path, item.annotation.path)
        for items in spec.splits.values()
        for item in items
        if isinstance(item.image, FileImage) and isinstance(item.annotation, FileMask)
    ]
    used = {path for pair in pairs for path in pair}
    folders = {
        "image": sorted({image.parent for image, _ in pairs}),
        "mask": sorted({mask.parent for _, mask in pairs}),
    }
    if set(folders["image"]) & set(folders["mask"]):
        return []
    left = {
        kind: [path for folder in paths for path in image_files(folder) if path.parent == folder and path not in used]
        for kind, paths in folders.items()
    }
    stems = {kind: {path.stem for path in paths} for kind, paths in left.items()}
    served = {image.stem + ending for image, _ in pairs for ending in MASK_ENDINGS}  # by another mask of theirs
    listed = {
        "image": {stem.removesuffix(ending) for stem in stems["mask"] for ending in MASK_ENDINGS},
        "mask": {stem + ending for stem in stems["image"] for ending in MASK_ENDINGS},
    }
    found = []
    for kind, words in (("image", "without a mask"), ("mask", "without an image")):
        for folder in folders[kind]:
            here = [path for path in left[kind] if path.parent == folder]
            if kind == "mask":
                here = [path for path in here if path.stem not in served]
            bare = [path.name for path in here if path.stem not in listed[kind] and path not in named]
            rest = [path.name for path in here if path.stem in listed[kind]]
            if bare:
                found.append((folder, bare, f"{kind} {words}"))
            if rest and kind == "image":
                found.append((folder, rest, "pair in no split"))
    return found
