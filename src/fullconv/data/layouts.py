"""Recognising the layouts that data sets come in. Each recogniser looks at a folder and says what it is, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fullconv.data.decode import IMAGE_SUFFIXES
from fullconv.data.description import Description
from fullconv.data.spec import Item, MaskEncoding
from fullconv.errors import DataError, first_few
from fullconv.spec import ClassSet

VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

CAMVID_CLASSES = ClassSet(
    (
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree",
        "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
    ),
    (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos", "inputs")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt", "segmentation", "targets")
TRAIN_NAMES, VAL_NAMES, TEST_NAMES = (
    ("train", "training"),
    ("val", "valid", "validation"),
    ("test", "testing"),
)
MASK_ENDINGS = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L", "_labelIds")


@dataclass
class Found:
    """A recognised layout, before defaults are filled in."""

    layout: str
    reasons: list[str]
    splits: Mapping[str, Sequence[Item]]
    classes: ClassSet | None = None
    encoding: MaskEncoding = field(default_factory=MaskEncoding)


def recognise_voc(root: Path, description: Description) -> Found | None:
    """PASCAL VOC: ``JPEGImages``, ``SegmentationClass``, lists in ``ImageSets/Segmentation``."""
    lists, masks, images = (
        root / "ImageSets" / "Segmentation",
        root / "SegmentationClass",
        root / "JPEGImages",
    )
    if not (lists.is_dir() and masks.is_dir() and images.is_dir()):
        return None
    splits = {
        split: _listed([(f"{name}.jpg", f"{name}.png") for name in _lines(lists / f"{split}.txt")], images, masks)
        for split in ("train", "val")
        if (lists / f"{split}.txt").is_file()
    }
    return Found(
        "voc",
        ["JPEGImages, SegmentationClass and ImageSets/Segmentation: PASCAL VOC, 21 classes, 255 is void"],
        splits,
        ClassSet(VOC_NAMES),
    )


def recognise_camvid(root: Path, description: Description) -> Found | None:
    """CamVid as SegNet laid it out: ``train``, ``trainannot``, ..., and lists of path pairs with a foreign prefix."""
    present = [s for s in ("train", "val", "test") if (root / s).is_dir() and (root / f"{s}annot").is_dir()]
    if "train" not in present:
        return None
    splits = {}
    for split in present:
        listing = root / f"{split}.txt"
        if listing.is_file():
            pairs = [line.split() for line in _lines(listing)]
            if any(len(pair) != 2 for pair in pairs):
                raise DataError(f"{listing}: expected two paths a line, 'image mask'")
            names = [(PurePosixPath(a).name, PurePosixPath(b).name) for a, b in pairs]
        else:
            names = [(path.name, path.name) for path in image_files(root / split)]
        splits[split] = _listed(names, root / split, root / f"{split}annot")
    return Found(
        "camvid",
        [
            "folders train and trainannot: CamVid as SegNet laid it out, 11 classes, 11 is void",
            "lists: only the file names of their paths are used, the prefix is another machine's",
        ],
        splits,
        CAMVID_CLASSES,
        MaskEncoding(void_values=(11, 255)),
    )


def recognise_kitti_road(root: Path, description: Description) -> Found | None:
    """KITTI Road: ``training/image_2`` and ``training/gt_image_2`` with ``um_road_000000.png`` or ``um_lane_...``."""
    images, masks = root / "training" / "image_2", root / "training" / "gt_image_2"
    if not (images.is_dir() and masks.is_dir()):
        return None
    names = [path.name for path in image_files(images)]
    found = {
        kind: [n for n in names if (masks / n.replace("_", f"_{kind}_", 1)).is_file()] for kind in ("road", "lane")
    }
    kind = "lane" if len(found["lane"]) > len(found["road"]) else "road"
    other = len(names) - len(found[kind])
    reasons = [
        f"training/image_2 and training/gt_image_2: KITTI Road, masks of the {kind} "
        f"({len(found['road'])} road and {len(found['lane'])} lane masks are there; the more frequent kind is used)",
        "mask colours: (255, 0, 255) positive, (255, 0, 0) negative, (0, 0, 0) ignored",
    ]
    if other:
        reasons.append(f"{other} images without a {kind} mask are left out")
    pairs = [(name, name.replace("_", f"_{kind}_", 1)) for name in found[kind]]
    return Found(
        "kitti_road",
        reasons,
        {"": _listed(pairs, images, masks)},
        ClassSet(("background", kind), ((255, 0, 0), (255, 0, 255))),
        MaskEncoding(colours={(255, 0, 0): 0, (255, 0, 255): 1}, void_colours=((0, 0, 0),)),
    )


def recognise_folder(root: Path, description: Description) -> Found | None:
    """Plain folders of images and masks, with split folders or lists or neither."""
    split_roots = {split: sub for split, sub in _split_folders(root).items() if _pair_folders(sub, description)}
    if "train" in split_roots:
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
        splits = {}
        for split, sub in inside.items():
            mask_sub = masks / sub.name
            if not mask_sub.is_dir():
                raise DataError(f"{sub} holds images, but {mask_sub} is missing; give it the masks of that split")
            splits[split] = _paired(sub, mask_sub, description)
        reasons = [f"{images.name}/ and {masks.name}/ with folders {', '.join(inside)}"]
        return Found("folder", reasons, splits)
    items = _paired(images, masks, description)
    lists = description.splits or _split_lists(root)
    reasons = [f"folders {images.name}/ and {masks.name}/, paired by name"]
    if lists:
        return Found("folder", [*reasons, f"split lists {', '.join(lists.values())}"], _by_lists(root, items, lists))
    return Found("folder", reasons, {"": items})


RECOGNISERS: tuple[Callable[[Path, Description], Found | None], ...] = (
    recognise_voc,
    recognise_camvid,
    recognise_kitti_road,
    recognise_folder,
)


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def image_files(folder: Path) -> list[Path]:
    """The image files at any depth of a folder, sorted; hidden ones are passed over."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def _listed(names: Sequence[tuple[str, str]], images: Path, masks: Path) -> list[Item]:
    """Items of a list, with every named file there."""
    items = [Item(Path(image).stem, images / image, masks / mask) for image, mask in names]
    for folder, paths in ((images, [item.image for item in items]), (masks, [item.mask for item in items])):
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise DataError(
                f"{folder}: {len(missing)} of {len(items)} listed files are missing "
                f"({first_few(missing)}); add them, or take them off the list"
            )
    return items


def _child(root: Path, names: Sequence[str]) -> Path | None:
    """The folder of ``root`` that has one of these names, whatever its case; the first name wins."""
    if not root.is_dir():
        return None
    children = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return next((children[name] for name in names if name in children), None)


def _split_folders(root: Path) -> dict[str, Path]:
    candidates = (("train", TRAIN_NAMES), ("val", VAL_NAMES), ("test", TEST_NAMES))
    found = {split: _child(root, names) for split, names in candidates}
    return {split: path for split, path in found.items() if path is not None}


def _split_lists(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for split, names in (("train", TRAIN_NAMES), ("val", VAL_NAMES), ("test", TEST_NAMES)):
        for name in names:
            for place in ("", "splits/", "lists/"):
                if (root / f"{place}{name}.txt").is_file():
                    found.setdefault(split, f"{place}{name}.txt")
    return found


def _pair_folders(root: Path, description: Description) -> tuple[Path, Path] | None:
    images = root / description.images if description.images else _child(root, IMAGE_FOLDERS)
    masks = root / description.masks if description.masks else _child(root, MASK_FOLDERS)
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
        ids = [re.split(r"[\s,]+", line)[0] for line in _lines(path)]
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
