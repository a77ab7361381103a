"""PASCAL VOC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fullconv.data.description import Description
from fullconv.data.layouts.base import SPLIT_NAMES, Found, lines, listed
from fullconv.data.spec import Item
from fullconv.errors import DataError
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.images.masks import read_raw_mask
from fullconv.spec import ClassSet

VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


VOC_CLASSES = ClassSet(VOC_NAMES)
BORDER = (224, 224, 192)
NAMES = re.compile(r"(20\d\d_)?\d{6}")
"""What VOC calls its images."""
PROBED = 20
AUGMENTED_LISTS = ("trainaug.txt", "train_aug.txt")


def recognise_voc(root: Path, description: Description) -> Found | None:
    """PASCAL VOC: ``JPEGImages``, ``SegmentationClass``, lists in ``ImageSets/Segmentation``.

    Where ``SegmentationClassAug`` lies beside them (SBD's masks as PNG), training uses it: the images of a list
    ``trainaug.txt``, or else every image that has such a mask or is on VOC's own train list; never one of VOC's val.
    """
    lists, masks, images = (
        root / "ImageSets" / "Segmentation",
        root / "SegmentationClass",
        root / "JPEGImages",
    )
    if not (lists.is_dir() and masks.is_dir() and images.is_dir()):
        return None
    names = {split: _stems(lists / f"{split}.txt") for split, _ in SPLIT_NAMES if (lists / f"{split}.txt").is_file()}
    hidden = "test" in names and not all((masks / f"{name}.png").is_file() for name in names["test"])
    if hidden or not names.get("test"):  # VOC keeps the masks of its later test sets
        names.pop("test", None)
    if not names and (lists / "trainval.txt").is_file():
        names[""] = _stems(lists / "trainval.txt")
    splits: dict[str, Sequence[Item]] = {
        split: listed([(_image_name(images, name), f"{name}.png") for name in stems], images, masks)
        for split, stems in names.items()
    }
    items = [item for members in splits.values() for item in members]
    public = all(NAMES.fullmatch(item.id) for item in items)
    given = description.class_set()
    classes = f"{len(given)} classes of dataset.yaml" if given else f"{len(VOC_NAMES)} classes"
    reasons = [f"JPEGImages, SegmentationClass and ImageSets/Segmentation: PASCAL VOC, {classes}, 255 is void"]
    if not given and not public:
        reasons.append("its files are not named as VOC's are: if its classes are others, name them in dataset.yaml")
    encoding = MaskEncoding()
    if any(_in_colours(item.mask) for item in items[:PROBED]):
        colours = {colour: index for index, colour in enumerate(VOC_CLASSES.palette)}
        encoding = MaskEncoding(colours=colours, void_colours=(BORDER,))
        reasons.append("RGB masks, in VOC's colours")
    if hidden:
        reasons.append("test.txt is left out: its masks are not there")
    more = root / "SegmentationClassAug"
    if more.is_dir():
        splits["train"] = _with_sbd(splits.get("train", ()), set(names.get("val", ())), lists, images, more, reasons)
    return Found("voc", reasons, splits, VOC_CLASSES, encoding, public=public)


def _in_colours(mask: Path) -> bool:
    """Whether a mask is RGB, and not ids in three equal channels."""
    try:
        raw = read_raw_mask(mask)
    except DataError:
        return False  # named where it is read
    return raw.ndim == 3 and bool((raw != raw[..., :1]).any())


def _with_sbd(
    own: Sequence[Item], val: set[str], lists: Path, images: Path, masks: Path, reasons: list[str]
) -> list[Item]:
    """Training items of VOC and SBD together, less VOC's val."""
    listing = next((lists / name for name in AUGMENTED_LISTS if (lists / name).is_file()), None)
    found = {path.stem for path in masks.glob("*.png")}
    wanted = _stems(listing) if listing else sorted(found | {item.id for item in own})
    by_name = {item.id: item for item in own}
    items, bare = [], 0
    for name in wanted:
        image = images / f"{name}.jpg"
        if name in val:
            continue
        if not image.is_file() and listing is None:
            bare += 1
        elif not image.is_file():
            raise DataError(f"{listing}: {name} has no image in {images.name}; add it, or take it off the list")
        elif name in found:
            items.append(Item(name, image, masks / f"{name}.png"))
        elif name in by_name:
            items.append(by_name[name])
        else:
            raise DataError(f"{listing}: {name} has no mask in {masks.name}; add it, or take it off the list")
    source = listing.name if listing else "its file names and VOC's train list"
    reasons.append(f"SegmentationClassAug: SBD's masks join training ({source}), less VOC's val")
    if bare:
        reasons.append(f"{bare} masks of SegmentationClassAug have no image in JPEGImages and are left out")
    return items


def _image_name(images: Path, stem: str) -> str:
    """VOC's images are JPEG files; those of data brought into its form may be others."""
    return next(
        (f"{stem}{end}" for end in (".jpg", *IMAGE_SUFFIXES) if (images / f"{stem}{end}").is_file()), f"{stem}.jpg"
    )


def _stems(listing: Path) -> list[str]:
    """Names of a list; of ``/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png`` the first one's."""
    names = [Path(line.split()[0]) for line in lines(listing)]
    return [name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name for name in names]
