"""Plain folders of images and masks."""

from __future__ import annotations

from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.errors import first_few
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, child_folders
from fullconv.formats.read.pairing import holds_images, paired, paired_within
from fullconv.formats.read.split_lists import by_lists, lists_of

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos", "inputs")
MASK_FOLDERS = (
    "masks", "mask", "labels", "label", "annotations", "gt", "segmentation", "targets",
    "segmentationclasspng", "segmentationclass",
)  # fmt: skip
BESIDE = ("_labels", "_label", "_masks", "_mask", "annot", "_annot", "_annotations", "_gt", "_seg")
"""What the folder of masks beside a split's images has after its name."""


def recognise_folder(root: Path, description: Description, problems: Problems) -> Found | None:
    """Plain folders of images and masks, with split folders or lists or neither."""
    folders = _pair_folders(root, description)
    split_roots = {split: sub for split, sub in split_folders(root).items() if _pair_folders(sub, description)}
    if split_roots and ("train" in split_roots or folders is None):
        return _split_roots(root, split_roots, description, problems)
    if folders is None:
        return _beside(root, description, problems) or _together(root, description, problems)
    images, masks = folders
    inside = {} if description.splits else split_folders(images)
    if inside:
        return _split_inside(images, masks, inside, description, problems)
    reasons = [f"folders {images.name}/ and {masks.name}/, paired by name"]
    items = paired(images, masks, problems, description.mask_suffix, reasons)
    return _divided(root, items, description, reasons, problems)


def _divided(root: Path, items: list[Item], description: Description, reasons: list[str], problems: Problems) -> Found:
    """Items that lists divide, if there are any."""
    lists = description.splits or lists_of(root)
    if not lists:
        return Found("folder", reasons, {"": items})
    reasons.append(f"split lists {', '.join(lists.values())}")
    return Found("folder", reasons, by_lists(root, items, lists, problems))


def _split_roots(root: Path, split_roots: dict[str, Path], description: Description, problems: Problems) -> Found:
    """``train/images``, ``train/masks``, ``val/images``, ..."""
    if description.splits:
        there = ", ".join(sub.name for sub in split_roots.values())
        problems.report(
            "description", f"{root / 'dataset.yaml'}: splits lists images, but {there} are folders of their own",
            "remove splits, or put all images into one folder",
        )  # fmt: skip
    lost = [sub for split, sub in split_folders(root).items() if split not in split_roots and split != "test"]
    if lost:
        text = f"{lost[0]}: has no folders images and masks, unlike another split"
        problems.report("unpaired", text, "name them so, or move it", lost)
    splits = {}
    reasons = [f"split folders {', '.join(split_roots)}, each with images and masks"]
    for split, sub in split_roots.items():
        folders = _pair_folders(sub, description)
        assert folders
        splits[split] = paired(*folders, problems, description.mask_suffix, reasons)
    return Found("folder", reasons, splits)


def _split_inside(
    images: Path, masks: Path, inside: dict[str, Path], description: Description, problems: Problems
) -> Found:
    """``images/train``, ``masks/train``, ``images/val``, ..."""
    others = [sub for sub in child_folders(images) if sub not in inside.values()]
    names = first_few([sub.name for sub in others])
    if others and "train" not in inside:
        there = ", ".join(sub.name for sub in inside.values())
        problems.report(
            "unpaired", f"{images}: holds {names} beside {there}",
            "call the training part train, or list the splits in dataset.yaml", others,
        )  # fmt: skip
    reasons = [f"{images.name}/ and {masks.name}/ with folders {', '.join(inside)}"]
    if others:
        reasons.append(f"{images.name}/ holds other folders, which are in no split and left out: {names}")
    if holds_images(images):
        reasons.append(f"images in {images.name}/ itself are in no split and left out")
    splits = {}
    for split, sub in inside.items():
        mask_sub = masks / sub.name
        if mask_sub.is_dir():
            splits[split] = paired(sub, mask_sub, problems, description.mask_suffix, reasons)
        elif split == "test":
            reasons.append(f"{images.name}/{sub.name} has no masks and is left out")
        else:
            text = f"{sub} holds images, but {mask_sub} is missing"
            problems.report("unpaired", text, "give it the masks of that split", [sub])
    return Found("folder", reasons, splits)


def _beside(root: Path, description: Description, problems: Problems) -> Found | None:
    """``train`` with ``train_labels``, ``val`` with ``val_labels``, ..."""
    if description.images or description.masks or description.splits:
        return None
    parts = split_folders(root)
    there = {sub.name.lower(): sub for sub in child_folders(root)}
    found, several = {}, []
    for split, folder in parts.items():
        beside = [there[name] for ending in BESIDE if (name := folder.name.lower() + ending) in there]
        if len(beside) > 1:
            several.append((folder, beside))
        elif beside:
            found[split] = (folder, beside[0])
    if not found and not several:
        return None
    for folder, masks in several:
        text = f"{root}: {masks[0].name} and {masks[1].name} are both masks of {folder.name}"
        problems.report("unpaired", text, "keep one", masks)
    said = ", ".join(f"{images.name} and {masks.name}" for images, masks in found.values())
    left = {split: folder for split, folder in parts.items() if folder not in [folder for folder, _ in several]}
    beside_name = next((masks.name for _, masks in found.values()), "")
    reasons = [f"folders {said}, paired by name", *_bare(left, set(found), beside_name, problems)]
    suffix = description.mask_suffix
    return Found("folder", reasons, {s: paired(*folders, problems, suffix, reasons) for s, folders in found.items()})


def _together(root: Path, description: Description, problems: Problems) -> Found | None:
    """Images and masks side by side, in one folder or one per split: ``a.jpg`` and ``a_mask.png``."""
    if description.images != description.masks:
        return None
    folder = root / description.images
    if not folder.is_dir():
        return None
    suffix = description.mask_suffix
    parts = {} if description.splits else split_folders(folder)
    reasons = ["images and masks side by side, paired by name"]
    splits = {split: items for split, sub in parts.items() if (items := paired_within(sub, problems, suffix, reasons))}
    if splits:
        bare = _bare(parts, set(splits), "masks beside its images", problems)
        return Found("folder", [*reasons, *bare], splits)
    items = paired_within(folder, problems, suffix, reasons)
    return _divided(folder, items, description, reasons, problems) if items else None


def _bare(parts: dict[str, Path], found: set[str], what: str, problems: Problems) -> list[str]:
    """What is said of a test split without masks; another split without any is a problem."""
    bare = [(split, folder) for split, folder in parts.items() if split not in found and holds_images(folder)]
    lost = [folder for split, folder in bare if split != "test"]
    if lost:
        problems.report(
            "unpaired", f"{lost[0]}: holds images, but no masks, unlike the other split ({what})",
            "add them, or move it", lost,
        )  # fmt: skip
    return [f"{folder.name} has no masks and is left out" for split, folder in bare if split == "test"]


def split_folders(root: Path) -> dict[str, Path]:
    """The folders that are called as splits are."""
    found = {split: child(root, names) for split, names in SPLIT_NAMES}
    return {split: path for split, path in found.items() if path is not None}


def _pair_folders(root: Path, description: Description) -> tuple[Path, Path] | None:
    images = root / description.images if description.images else child(root, IMAGE_FOLDERS)
    masks = root / description.masks if description.masks else child(root, MASK_FOLDERS)
    if images is None or masks is None or images == masks:
        return None
    return (images, masks) if images.is_dir() and masks.is_dir() else None
