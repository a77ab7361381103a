"""Oxford-IIIT Pet: 37 breeds of cats and dogs.

Parkhi et al., "Cats and Dogs", CVPR 2012. Its page names CC BY-SA 4.0; the images' copyright is their owners'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fullconv.data.dataset import Item
from fullconv.data.sources import LabelFile
from fullconv.errors import DataError, first_few
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, in_form_of, lines, listed
from fullconv.images.encoding import MaskEncoding
from fullconv.images.masks import read_labels
from fullconv.spec import ClassSet

PET_CLASSES = ClassSet(("pet", "background", "border"), ((220, 60, 60), (40, 60, 120), (250, 220, 90)))
TRIMAP = MaskEncoding(values={1: 0, 2: 1, 3: 2})
BREEDS = {
    "abyssinian", "american_bulldog", "american_pit_bull_terrier", "basset_hound", "beagle", "bengal", "birman",
    "bombay", "boxer", "british_shorthair", "chihuahua", "egyptian_mau", "english_cocker_spaniel", "english_setter",
    "german_shorthaired", "great_pyrenees", "havanese", "japanese_chin", "keeshond", "leonberger", "maine_coon",
    "miniature_pinscher", "newfoundland", "persian", "pomeranian", "pug", "ragdoll", "russian_blue",
    "saint_bernard", "samoyed", "scottish_terrier", "shiba_inu", "siamese", "sphynx", "staffordshire_bull_terrier",
    "wheaten_terrier", "yorkshire_terrier",
}  # fmt: skip
"""Its 37 breeds, by which its images are named."""
SPECIES = {"1": "cat", "2": "dog"}


@dataclass(frozen=True)
class KindOfPet(LabelFile):
    """A trimap whose animal has a class of its own; the border is void, and an animal of no class too.

    Attributes:
        animal, background: ids of classes, or None.
    """

    animal: int | None
    background: int | None

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """uint8 ``[height, width]``."""
        ids = [ignore_index if place is None else place for place in (self.animal, self.background)]
        trimap = read_labels(self.path, TRIMAP, len(PET_CLASSES), PET_CLASSES.ignore_index)
        table = np.full(256, ignore_index, np.uint8 if ignore_index <= 255 else np.int32)
        table[: len(ids)] = ids
        return table[trimap]


def recognise_pets(root: Path, description: Description, problems: Problems) -> Found | None:
    """Oxford-IIIT Pet: ``images`` and ``annotations`` with ``trimaps``, ``trainval.txt`` and ``test.txt``.

    Trimaps hold 1 (pet), 2 (background), 3 (border, or not classified); ids here are one less, as tutorials have it.
    Where ``classes`` in ``dataset.yaml`` names species (cat, dog) or breeds, the animal is of that class.
    """
    notes = root / "annotations"
    masks, images = notes / "trimaps", root / "images"
    if not (masks.is_dir() and images.is_dir() and (notes / "trainval.txt").is_file()):
        return None
    splits, kinds = {}, dict[str, tuple[str, str]]()
    for split, name in (("train", "trainval.txt"), ("val", "test.txt")):
        if (notes / name).is_file():
            rows = [line.split() for line in lines(notes / name) if not line.startswith("#")]
            splits[split] = listed([(f"{row[0]}.jpg", f"{row[0]}.png") for row in rows], images, masks, problems)
            kinds |= {row[0]: (_breed(row[0]), SPECIES.get(row[2], "") if len(row) > 2 else "") for row in rows}
    given = description.class_set()
    by_kind = given is not None and bool({_plain(name) for name in given.names} & set().union(*kinds.values()))
    reasons = [
        "images and annotations/trimaps: Oxford-IIIT Pet, "
        + ("animals of the classes in dataset.yaml" if by_kind else "trimaps 1, 2, 3 are pet, background, border"),
        "train is trainval.txt; val is test.txt, because there is no other: choosing an epoch on it flatters the score",
    ]
    public = {stem.rpartition("_")[0].casefold() for stem in kinds} <= BREEDS
    if not public:
        reasons.append(in_form_of("Oxford-IIIT Pet"))
    if given is None or not by_kind:
        return Found("pets", reasons, splits, PET_CLASSES, TRIMAP, public=public)
    ids = {_plain(name): index for index, name in enumerate(given.names)}
    if len(ids) < len(given):
        raise DataError(f"{root / 'dataset.yaml'}: classes names one kind twice; name each once")
    strange = [name for name in given.names if _plain(name) not in {"background"}.union(*kinds.values())]
    if strange:
        raise DataError(
            f"{root / 'dataset.yaml'}: classes names {first_few(strange)}, neither a breed of these lists nor "
            "cat, dog or background; correct it"
        )
    reasons.append("the border is void, and so are animals of kinds that classes does not name")
    kinds_ids = {stem: next((ids[kind] for kind in names if kind in ids), None) for stem, names in kinds.items()}

    def labelled(item: Item) -> Item:
        return replace(item, annotation=KindOfPet(item.annotation.files[0], kinds_ids[item.id], ids.get("background")))

    found = {split: [labelled(item) for item in items] for split, items in splits.items()}
    return Found("pets", reasons, found, given, public=public)


def _breed(stem: str) -> str:
    """``american_bulldog_12`` is an american bulldog."""
    return _plain(stem.rpartition("_")[0])


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()
