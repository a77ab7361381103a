"""PASCAL VOC."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.data.sources import FileImage, FileMask, changed
from fullconv.errors import DataError, first_few, plural
from fullconv.files import leads_outside
from fullconv.formats.contents import Contents, contents_of
from fullconv.formats.description import Description
from fullconv.formats.mask_classes import class_names, names_file
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, lines, listed, readings, report_outside
from fullconv.formats.read.exports import by_subset
from fullconv.formats.read.names import spot
from fullconv.formats.read.voc_xml import with_boxes
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.images.mask_file import unpacked
from fullconv.palette import voc_palette
from fullconv.spec import ClassSet, Colour
from fullconv.text import head_of

VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


VOC_CLASSES = ClassSet(VOC_NAMES, voc_palette(len(VOC_NAMES)))
PALETTE = list(voc_palette(255))
"""Colours by VOC's rule, for as many classes as ids of a byte."""
BORDER = (224, 224, 192)
NAMES = re.compile(r"20(0[789]|1[012])_\d{6}")
"""What VOC calls its images from 2007 on; those of VOC 2007 itself are numbers, as anybody's may be."""
OWN_LIST, OWN_WORDS = "ImageSets/Main/aeroplane_*.txt", "The VOC20"
"""A list, and words of an annotation, that only VOC itself has."""
PROBED = 20
AUGMENTED_LISTS = ("trainaug.txt", "train_aug.txt")


def recognise_voc(root: Path, description: Description, problems: Problems) -> Found | None:
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
    found = {path.stem: path for path in sorted(lists.glob("*.txt"))}
    if not found:
        return None  # a plain folder, as labelme2voc writes it
    names, hidden = _names_by_split(found, images, masks, problems)
    reasons: list[str] = []
    splits: dict[str, Sequence[Item]] = {
        split: listed([(_image_name(images, name), f"{name}.png") for name in stems], images, masks, problems)
        for split, stems in names.items()
    }
    if not {"", "train", "val", "test"} & set(splits):
        splits = by_subset(splits, reasons)
    items = [item for members in splits.values() for item in members]
    classes, encoding, said = _classes(root, items, description, problems)
    reasons.insert(0, f"JPEGImages, SegmentationClass and ImageSets/Segmentation: PASCAL VOC{said}")
    if encoding.colours:
        reasons.append("RGB masks, in VOC's colours")
    if hidden:
        reasons.append("test.txt is left out: its masks are not there")
    more = root / "SegmentationClassAug"
    if more.is_dir():
        listing = next((lists / name for name in AUGMENTED_LISTS if (lists / name).is_file()), None)
        held_back, own = set(names.get("val", ())), splits.get("train", ())
        splits["train"] = _with_sbd(own, held_back, listing, images, more, reasons, problems)
    splits = _with_objects(splits, root / "SegmentationObject", masks, reasons)
    own_names = classes or description.class_set()
    splits = with_boxes(splits, root / "Annotations", own_names.names if own_names else (), reasons)
    return Found("voc", reasons, splits, classes, encoding, public=classes is VOC_CLASSES)


def _names_by_split(
    found: Mapping[str, Path], images: Path, masks: Path, problems: Problems
) -> tuple[dict[str, list[str]], bool]:
    """Names of images by split (or by list), and whether a test list is left out, for its masks are not there."""
    names = {split: _stems(found[split], images, problems) for split, _ in SPLIT_NAMES if split in found}
    hidden = "test" in names and not all(spot(masks / f"{name}.png") for name in names["test"])
    if hidden or not names.get("test"):  # VOC keeps the masks of its later test sets
        names.pop("test", None)
    if not names and "trainval" in found:
        names[""] = _stems(found["trainval"], images, problems)
    elif not names and not {split for split, _ in SPLIT_NAMES} & set(found):
        names = {name: _stems(path, images, problems) for name, path in found.items()}  # default.txt, valid.txt, ...
    return names, hidden


def is_voc(root: Path, items: Sequence[Item]) -> bool:
    """Whether images are VOC's own: by their names with a year, or VOC 2007's by VOC's own lists or annotations."""
    if all(NAMES.fullmatch(item.id) for item in items):
        return True
    if not all(re.fullmatch(r"\d{6}", item.id) for item in items):
        return False
    notes = root / "Annotations" / f"{items[0].id}.xml" if items else root
    return next(root.glob(OWN_LIST), None) is not None or (notes.is_file() and OWN_WORDS in head_of(notes))


def _classes(
    root: Path, items: Sequence[Item], description: Description, problems: Problems
) -> tuple[ClassSet | None, MaskEncoding, str]:
    """VOC's classes for VOC's own images and ids; else those of ``dataset.yaml`` or of a list beside; else None.

    RGB masks are read by VOC's rule of colours, where all of their colours are that rule's.
    """
    listing, given = names_file(root), description.class_set()
    colours = [colour for item in items[:PROBED] for colour in _colours(item.annotation.files[0])]
    ids = [value for item in items[:PROBED] for value in _ids(item.annotation.files[0])]
    if given is not None:
        classes, said = given, f"'s form, {plural(len(given), 'class')} of dataset.yaml"
    elif listing is not None and (names := class_names(listing, problems)) not in (VOC_NAMES, ()):
        classes, said = ClassSet(names), f"'s form, {plural(len(names), 'class')} of {listing.name}, licence not known"
    elif is_voc(root, items) and all(value in (*range(len(VOC_NAMES)), 255) for value in ids):
        classes, said = VOC_CLASSES, f", {len(VOC_NAMES)} classes, 255 is void"
    else:
        more = {colour for item in items[PROBED:] if colours for colour in _colours(item.annotation.files[0])}
        places = [PALETTE.index(colour) for colour in {*colours, *more} if colour in PALETTE]
        said = "'s form; its files are not VOC's own: class names and licence are not known"
        if not places:
            return None, MaskEncoding(), said
        classes = ClassSet(tuple(f"class_{index}" for index in range(max(places) + 1)))
    if not colours or not set(colours) <= {*PALETTE[: len(classes)], BORDER}:
        return (classes if classes is VOC_CLASSES else None), MaskEncoding(), said
    ids_of = {colour: index for index, colour in enumerate(PALETTE[: len(classes)])}
    if classes is not VOC_CLASSES:
        classes = dataclasses.replace(classes, palette=voc_palette(len(classes)))
    return classes, MaskEncoding(colours=ids_of, void_colours=(BORDER,)), said


def _inspected(mask: Path) -> Contents | None:
    try:
        return contents_of(mask)
    except DataError:
        return None  # named where it is read


def _ids(mask: Path) -> list[int]:
    found = _inspected(mask)
    return [int(value) for value in found.values] if found is not None and found.mask.kind != "colour" else []


def _colours(mask: Path) -> list[Colour]:
    """The colours of an RGB mask; none for ids in three equal channels."""
    found = _inspected(mask)
    if found is None or found.mask.kind != "colour" or found.values:
        return []
    return [unpacked(colour) for colour in found.colours or ()]


def _with_objects(
    splits: Mapping[str, Sequence[Item]], folder: Path, masks: Path, reasons: list[str]
) -> dict[str, Sequence[Item]]:
    """The same items, whose masks in ``masks`` have the numbers of objects in ``folder`` beside them."""

    def beside(item: Item) -> Item:
        mask, objects = item.annotation, folder / f"{item.id}.png"
        if not isinstance(mask, FileMask) or mask.path.parent != masks or not objects.is_file():
            return item
        return dataclasses.replace(item, annotation=dataclasses.replace(mask, objects=objects))

    found = changed(splits, beside)
    items = {item.id: item.annotation for members in found.values() for item in members}
    count = sum(isinstance(mask, FileMask) and mask.has_instances for mask in items.values())
    if count:
        reasons.append(f"{folder.name}: {count} of {len(items)} masks say which object is which")
    return found


def _with_sbd(
    own: Sequence[Item], val: set[str], listing: Path | None, images: Path, masks: Path, reasons: list[str],
    problems: Problems,
) -> list[Item]:  # fmt: skip
    """Training items of VOC and SBD together, less VOC's val; by a list of them if there is one."""
    found = {path.stem for path in masks.glob("*.png")}
    by_name = {item.id: item for item in own}
    wanted = _stems(listing, images, problems) if listing else sorted(found | set(by_name))
    wanted = [name for name in wanted if name not in val]
    bare = [name for name in wanted if not (images / f"{name}.jpg").is_file()]
    left_out = set(bare)
    without = [name for name in wanted if name not in left_out and name not in found and name not in by_name]
    if listing:
        for missing, what, folder in ((bare, "image", images), (without, "mask", masks)):
            if missing:
                text = f"{listing}: {first_few(missing)} has no {what} in {folder.name}"
                problems.report("unpaired", text, "add it, or take it off the list")
    source = listing.name if listing else "its file names and VOC's train list"
    reasons.append(f"SegmentationClassAug: SBD's masks join training ({source}), less VOC's val")
    if bare and not listing:
        reasons.append(f"{plural(len(bare), 'mask of SegmentationClassAug', 'has')} no image in JPEGImages: left out")
    left_out.update(without)
    return [
        Item(name, FileImage(images / f"{name}.jpg"), FileMask(masks / f"{name}.png"))
        if name in found
        else by_name[name]
        for name in wanted
        if name not in left_out
    ]


def _image_name(images: Path, stem: str) -> str:
    """VOC's images are JPEG files; those of data brought into its form may be others."""
    names = (f"{stem}{end}" for end in (".jpg", *IMAGE_SUFFIXES))
    return next((there.name for name in names if (there := spot(images / name)) is not None), f"{stem}.jpg")


def _stems(listing: Path, images: Path, problems: Problems) -> list[str]:
    """Names of a list; of ``/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png`` the first one's.

    Of a path only the name counts; it may begin on another machine, but not climb.
    """
    entries = list[str]()
    with problems.catching("lists"):
        entries = lines(listing)
    climbing = [entry for entry in entries if leads_outside(entry.lstrip("/"))]
    report_outside(listing, climbing, problems)
    stems = []
    for entry in (entry for entry in entries if entry not in climbing):
        whole, first = (
            name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name for name in map(Path, readings(entry))
        )
        stems.append(whole if whole == first or spot(images / _image_name(images, whole)) else first)
    return stems
