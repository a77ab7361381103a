"""Oxford-IIIT Pet."""

from __future__ import annotations

from pathlib import Path

from fullconv.data.description import Description
from fullconv.data.layouts.base import Found, lines, listed
from fullconv.data.spec import MaskEncoding
from fullconv.spec import ClassSet

PET_CLASSES = ClassSet(("pet", "background", "border"), ((220, 60, 60), (40, 60, 120), (250, 220, 90)))


def recognise_pets(root: Path, description: Description) -> Found | None:
    """Oxford-IIIT Pet: ``images`` and ``annotations`` with ``trimaps``, ``trainval.txt`` and ``test.txt``.

    Trimaps hold 1 (pet), 2 (background), 3 (border, or not classified); ids here are one less, as tutorials have it.
    """
    notes = root / "annotations"
    masks, images = notes / "trimaps", root / "images"
    if not (masks.is_dir() and images.is_dir() and (notes / "trainval.txt").is_file()):
        return None
    splits = {}
    for split, name in (("train", "trainval.txt"), ("val", "test.txt")):
        if (notes / name).is_file():
            stems = [line.split()[0] for line in lines(notes / name) if not line.startswith("#")]
            splits[split] = listed([(f"{stem}.jpg", f"{stem}.png") for stem in stems], images, masks)
    reasons = [
        "images and annotations/trimaps: Oxford-IIIT Pet, trimaps 1, 2, 3 are the classes pet, background, border",
        "train is trainval.txt; val is test.txt, for there is no other: choosing an epoch on it flatters the score",
    ]
    return Found("pets", reasons, splits, PET_CLASSES, MaskEncoding(values={1: 0, 2: 1, 3: 2}))
