"""PASCAL VOC and SBD from their original folders, as one data set. For sources see ``voc.py`` and ``sbd.py``."""

from __future__ import annotations

import os
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.errors import DataError
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, in_form_of, lines, listed
from fullconv.formats.read.sbd import sbd_folder, sbd_items
from fullconv.formats.read.voc import VOC_CLASSES, VOC_NAMES, is_voc
from fullconv.formats.read.voc_xml import with_boxes

LEAVES = {"img", "cls", "inst", "jpegimages", "annotations", "imagesets", "segmentationclass", "segmentationobject"}
"""Folders of the two data sets that hold files only."""
MOST_FOLDERS = 50


def recognise_voc_sbd(root: Path, description: Description, problems: Problems) -> Found | None:
    """A folder with a VOC and an SBD folder in it, both at most two levels down.

    ``train`` is all of SBD and VOC's train, less VOC's val; ``val`` is VOC's. ``seg11valid`` is the FCN paper's rule:
    VOC's val less the images of SBD's train (736 images for VOC 2011).
    """
    folders = [] if _is_voc(root) else _below(root)
    vocs = [folder for folder in folders if _is_voc(folder)]
    if not vocs:
        return None
    sbd = next((found for folder in folders if (found := sbd_folder(folder)) is not None), None)
    if sbd is None:
        return None
    voc = max(vocs, key=lambda folder: folder.name)
    own, val = (_voc_items(voc, split, problems) for split in ("train", "val"))
    contours = {split: sbd_items(sbd, split, problems) for split in ("train", "val")}
    held_back = {item.id for item in val}
    union = {item.id: item for item in (*contours["train"], *contours["val"], *own) if item.id not in held_back}
    taken = {item.id for item in contours["train"]}
    seg11valid = [item for item in val if item.id not in taken]
    reasons = [
        f"{voc.relative_to(root)} and {sbd.relative_to(root)}: PASCAL VOC and SBD, 21 classes, 255 is void",
        f"train: all of SBD and VOC's train, less VOC's val: {len(union)} images; where both label an image, VOC's "
        "mask is used; val: VOC's",
        f"seg11valid: VOC's val less SBD's train, {len(seg11valid)} images: the FCN paper's rule, for models that "
        "were trained on SBD's train (here train holds no image of val)",
    ]
    if len(vocs) > 1:
        others = ", ".join(folder.name for folder in vocs if folder != voc)
        reasons.append(f"of several VOC folders the latest is used; left out: {others}")
    splits = {"train": [union[name] for name in sorted(union)], "val": val}
    if seg11valid:
        splits["seg11valid"] = seg11valid
    public = is_voc(voc, list(union.values()))
    if not public:
        reasons.append(in_form_of("PASCAL VOC"))
    kept = with_boxes(splits, voc / "Annotations", VOC_NAMES, reasons)
    return Found("voc_sbd", reasons, kept, VOC_CLASSES, public=public)


def _is_voc(folder: Path) -> bool:
    parts = (folder / "ImageSets" / "Segmentation", folder / "SegmentationClass", folder / "JPEGImages")
    return all(part.is_dir() for part in parts)


def _voc_items(voc: Path, split: str, problems: Problems) -> list[Item]:
    listing = voc / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not listing.is_file():
        raise DataError(f"{listing}: no such file; VOC's train.txt and val.txt are both needed, unpack VOC again")
    names = [(f"{name}.jpg", f"{name}.png") for name in lines(listing)]
    return listed(names, voc / "JPEGImages", voc / "SegmentationClass", problems)


def _below(root: Path) -> list[Path]:
    """Folders one and two levels down, without those that hold files only."""
    first = _folders(root)
    return [*first, *(folder for parent in first for folder in _folders(parent))]


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        names = [e.name for e in entries if e.is_dir() and e.name.lower() not in LEAVES and not e.name.startswith(".")]
    return [root / name for name in sorted(names)[:MOST_FOLDERS]]
