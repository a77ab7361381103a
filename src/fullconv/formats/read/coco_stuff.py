"""COCO-Stuff's pixel maps: 182 ids of things and stuff on the images of COCO 2017.

Source: stuffthingmaps_trainval2017.zip; Caesar et al., COCO-Stuff: Thing and Stuff Classes in Context, CVPR 2018. Names
are those of its ``labels.txt``; colours are PASCAL VOC's rule, for none are given.
Terms: the annotations CC BY 4.0; the images belong to their owners on Flickr, under Flickr's terms.
"""

from __future__ import annotations

import re
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.errors import DataError
from fullconv.formats.description import Description
from fullconv.formats.mask_classes import names_file
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, listed
from fullconv.formats.read.coco_files import image_folder
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet
from fullconv.text import read_text

COCO_STUFF_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "street sign", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep",
    "cow", "elephant", "bear", "zebra", "giraffe", "hat", "backpack", "umbrella", "shoe", "eye glasses", "handbag",
    "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove",
    "skateboard", "surfboard", "tennis racket", "bottle", "plate", "wine glass", "cup", "fork", "knife", "spoon",
    "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "chair", "couch", "potted plant", "bed", "mirror", "dining table", "window", "desk", "toilet", "door", "tv",
    "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator",
    "blender", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush", "hair brush", "banner",
    "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard", "carpet",
    "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain", "desk-stuff",
    "dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile", "floor-wood", "flower",
    "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house", "leaves",
    "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper", "pavement",
    "pillow", "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river", "road", "rock",
    "roof", "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow", "solid-other", "stairs",
    "stone", "straw", "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable",
    "wall-brick", "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood", "water-other",
    "waterdrops", "window-blind", "window-other", "wood",
)  # fmt: skip
COCO_STUFF_CLASSES = ClassSet(COCO_STUFF_NAMES)
MASK_FOLDERS = ("stuffthingmaps", "stuffthingmaps_trainval2017", "annotations")
SPLITS = {"train": "train2017", "val": "val2017"}
_MASK_NAME = re.compile(r"\d{12}\.png")  # not the converted 000000000009_labelTrainIds.png beside them


def recognise_coco_stuff(root: Path, description: Description, problems: Problems) -> Found | None:
    """COCO-Stuff: PNG maps in ``stuffthingmaps/train2017`` (or ``annotations/train2017``), images as COCO's.

    A pixel's value is its category's id less one, 0 to 181; 255 is void. Images without a map are left out.
    """
    present = [
        (root / name, part) for name in MASK_FOLDERS for part in SPLITS.values() if (root / name / part).is_dir()
    ]
    if not present:
        return None
    masks, first = present[0]
    if first != SPLITS["train"] and next((root / "annotations").glob("instances_train*.json"), None):
        return None
    splits: dict[str, list[Item]] = {}
    for split, name in SPLITS.items():
        if not (masks / name).is_dir():
            continue
        names = sorted(path.name for path in (masks / name).glob("*.png") if _MASK_NAME.fullmatch(path.name))
        if name == first and not names and masks.name == "annotations":
            return None
        if not names:
            raise DataError(f"{masks / name}: holds no maps such as 000000000009.png; unpack COCO-Stuff's maps there")
        pairs = [(f"{Path(mask).stem}.jpg", mask) for mask in names]
        splits[split] = listed(pairs, image_folder(root, [name], [image for image, _ in pairs]), masks / name, problems)
    reasons = [
        f"{masks.name}/{first} with maps named by 12 digits: COCO-Stuff, 182 ids, a value is the category's id less "
        "one, 255 is void",
        "11 of the 182 ids (street sign, hat, ...) never occur: COCO dropped them; they are left out of the mean",
        "every map needs its image; images without a map are left out",
    ]
    beside = [kind for kind in ("instances", "panoptic") if next((root / "annotations").glob(f"{kind}_*.json"), None)]
    if beside:
        reasons.append(f"{' and '.join(beside)} files are also there and not used; move the maps away to use them")
    listing = names_file(root)
    public = listing is None or "person" in read_text(listing)  # labels.txt is COCO-Stuff's own
    return Found("coco_stuff", reasons, splits, COCO_STUFF_CLASSES, MaskEncoding(void_values=(255,)), public=public)
