"""Cityscapes: street scenes of 50 cities, 19 training classes.

Source: www.cityscapes-dataset.com; Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding,
CVPR 2016. Ids, names and colours are those of cityscapesScripts (``helpers/labels.py``).
Terms: the data set's own licence: non-commercial use only, no redistribution.
"""

from __future__ import annotations

from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.errors import DataError, first_few
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, in_form_of, listed
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet

_TRAINING = {
    7: ("road", (128, 64, 128)),
    8: ("sidewalk", (244, 35, 232)),
    11: ("building", (70, 70, 70)),
    12: ("wall", (102, 102, 156)),
    13: ("fence", (190, 153, 153)),
    17: ("pole", (153, 153, 153)),
    19: ("traffic light", (250, 170, 30)),
    20: ("traffic sign", (220, 220, 0)),
    21: ("vegetation", (107, 142, 35)),
    22: ("terrain", (152, 251, 152)),
    23: ("sky", (70, 130, 180)),
    24: ("person", (220, 20, 60)),
    25: ("rider", (255, 0, 0)),
    26: ("car", (0, 0, 142)),
    27: ("truck", (0, 0, 70)),
    28: ("bus", (0, 60, 100)),
    31: ("train", (0, 80, 100)),
    32: ("motorcycle", (0, 0, 230)),
    33: ("bicycle", (119, 11, 32)),
}
"""Label id of each training class, in the order of the training ids 0 to 18."""
NUM_LABELS = 34

CITYSCAPES_CLASSES = ClassSet(
    tuple(name for name, _ in _TRAINING.values()), tuple(colour for _, colour in _TRAINING.values())
)
ENCODINGS = {
    "labelIds": MaskEncoding(
        values={label: index for index, label in enumerate(_TRAINING)},
        void_values=tuple(label for label in range(NUM_LABELS) if label not in _TRAINING),
    ),
    "labelTrainIds": MaskEncoding(
        values={index: index for index in range(len(_TRAINING))},
        void_values=(255,),
    ),
}
SAID = {
    "labelIds": "masks *_labelIds.png: 19 of the 34 ids are the training classes, the other 15 are void",
    "labelTrainIds": "masks *_labelTrainIds.png: training ids 0 to 18, 255 is void",
}
CITIES = {
    "aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg", "hanover", "jena",
    "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich", "frankfurt",
    "lindau", "munster", "berlin", "bielefeld", "bonn", "leverkusen", "mainz", "munich", "augsburg", "bad-honnef",
    "bamberg", "bayreuth", "dortmund", "dresden", "duisburg", "erlangen", "freiburg", "heidelberg", "heilbronn",
    "karlsruhe", "konigswinter", "konstanz", "mannheim", "muhlheim-ruhr", "nuremberg", "oberhausen", "saarbrucken",
    "schweinfurt", "troisdorf", "wuppertal", "wurzburg",
}  # fmt: skip
"""Its 50 cities, whose names its folders have."""
IMAGES, IMAGE_END = "leftImg8bit", "_leftImg8bit.png"


def recognise_cityscapes(root: Path, description: Description, problems: Problems) -> Found | None:
    """Cityscapes: ``leftImg8bit/train/<city>/*_leftImg8bit.png`` and ``gtFine`` or ``gtCoarse`` of the same shape.

    Fine masks win over coarse ones, ``labelIds`` over ``labelTrainIds``; one kind is used for all splits. The test
    split's masks hold no classes and are left out. With coarse masks alone, ``train_extra`` joins training.
    """
    images = root / IMAGES
    there = [
        (kind, part)
        for part in ("train", "val")
        for kind in ("gtFine", "gtCoarse")
        if (images / part).is_dir() and (root / kind / part).is_dir()
    ]
    if not there:
        return None
    kind, part = there[0]
    reasons = [f"leftImg8bit/{part} and {kind}/{part}: Cityscapes, {len(CITYSCAPES_CLASSES)} training classes"]
    if len({kind for kind, _ in there}) > 1:
        other = next(name for name, _ in there if name != kind)
        reasons.append(f"{other} is also there and not used; put leftImg8bit and {other} alone in a folder to use it")
    parts = {"train": ["train"], "val": ["val"]}
    if kind == "gtCoarse" and (images / "train_extra").is_dir() and (root / kind / "train_extra").is_dir():
        parts["train"].append("train_extra")
        reasons.append("train_extra joins training")
    if (images / "test").is_dir():
        reasons.append("test is left out: its masks are not public")
    found = {
        split: [(part, stem) for part in names for stem in _stems(images / part)]
        for split, names in parts.items()
        if (images / split).is_dir() and (root / kind / split).is_dir()
    }
    encoding = _encoding(root / kind, [entry for entries in found.values() for entry in entries])
    splits: dict[str, list[Item]] = {}
    for split, entries in found.items():
        names = [(f"{part}/{stem}{IMAGE_END}", f"{part}/{stem}_{kind}_{encoding}.png") for part, stem in entries]
        splits[split] = listed(names, images, root / kind, problems)
    reasons.append(SAID[encoding])
    public = {stem.partition("/")[0] for entries in found.values() for _, stem in entries} <= CITIES
    if not public:
        reasons.append(in_form_of("Cityscapes"))
    return Found("cityscapes", reasons, splits, CITYSCAPES_CLASSES, ENCODINGS[encoding], public=public)


def _stems(folder: Path) -> list[str]:
    """``<city>/<city>_<sequence>_<frame>`` of every image of a split."""
    paths = sorted(folder.glob(f"*/*{IMAGE_END}"))
    if not paths:
        raise DataError(f"{folder}: holds no <city>/*{IMAGE_END}; unpack the images of this split there")
    return [f"{path.parent.name}/{path.name.removesuffix(IMAGE_END)}" for path in paths]


def _encoding(masks: Path, entries: list[tuple[str, str]]) -> str:
    """The kind of mask that every image has; ``labelIds`` first."""
    missing = {
        kind: [stem for part, stem in entries if not (masks / part / f"{stem}_{masks.name}_{kind}.png").is_file()]
        for kind in ENCODINGS
    }
    kind = next((kind for kind, stems in missing.items() if not stems), "")
    if not kind:
        best = min(missing, key=lambda kind: len(missing[kind]))
        raise DataError(
            f"{masks}: {len(missing[best])} of {len(entries)} images have no mask *_{masks.name}_{best}.png "
            f"({first_few(missing[best])}); add them, or move these images away"
        )
    return kind
