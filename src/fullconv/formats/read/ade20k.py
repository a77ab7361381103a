"""ADE20K's SceneParsing challenge of 2016 (MIT CSAIL): 150 classes, 20,210 training and 2,000 validation images.

Source: ADEChallengeData2016.zip; Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017. Names and colours are
those of the challenge's development kit (objectInfo150.txt, color150.mat); of a class's synonyms the first is its name.
Terms: the images for non-commercial research and education only, the annotations under BSD 3-Clause.
"""

from __future__ import annotations

import os
from pathlib import Path

from fullconv.errors import DataError
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files, in_form_of, lines, listed
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet

ADE20K_NAMES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet",
    "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water",
    "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk",
    "rock", "wardrobe", "lamp", "bathtub", "railing", "cushion", "base", "box", "column", "signboard",
    "chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path",
    "stairs", "runway", "case", "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase",
    "blind", "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus", "towel", "light",
    "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television", "airplane", "dirt track",
    "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van",
    "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool", "barrel",
    "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank", "trade name",
    "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture", "hood", "sconce",
    "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board",
    "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip
_COLOURS = (
    "787878b4787806e6e650323204c8037878508c8c8ccc05ffe6e6e604fa07e005ffebff0796053d78784608ff33"
    "ff06528fff8cccff04ff3307cc46030066c83de6faff06330b66ffff0747ff09e00907e6dcdcdcff095c7009ff"
    "08ffd607ffe0ffb8060aff47ff290a07ffffe0ff086608ffff3d06ffc207ff7a0800ff14ff0829ff05990633ff"
    "eb0cffa0961400a3ff8c8c8cfa0a0f14ff001fff00ff1f00ffe00099ff000000ffff470000ebff00adff1f00ff"
    "0bc8c8ff520000fff5003dff00ff7000ff85ff0000ffa300ff6600c2ff00008fff33ff000052ff00ff2900ffad"
    "0a00ffadff0000ff99ff5c00ff00ffff00f5ff0066ffad00ff0014ffb8b8001fff00ff3d0047ffff00cc00ffc2"
    "00ff52000aff0070ff3300ff00c2ff007aff00ffa3ff990000ff0aff70008fff005200ffa3ff00ffeb0008b8aa"
    "8500ff00ff5cb800ffff001f00b8ff00d6ffff00705cff0000e0ff70e0ff46b8a0a300ff9900ff47ff00ff00a3"
    "ffcc00ff008f00ffeb85ff00ff00ebf500ffff007afff5000abed4d6ff0000ccff1400ffffff000099ff0029ff"
    "00ffcc2900ff29ff00ad00ff00f5ff4700ff7a00ff00ffb8005cffb8ff000085ffffd60019c2c266ff005c00ff"
)
"""Six hexadecimal digits a class."""
_BYTES = bytes.fromhex(_COLOURS)
ADE20K_CLASSES = ClassSet(ADE20K_NAMES, tuple(zip(_BYTES[::3], _BYTES[1::3], _BYTES[2::3], strict=True)))
INFO = "objectInfo150.txt"
FILE_PREFIX = "ADE_"


def recognise_ade20k(root: Path, description: Description, problems: Problems) -> Found | None:
    """ADE20K: ``images`` and ``annotations`` with ``training`` and ``validation``, files named ``ADE_...``.

    Mask values 1 to 150 are the classes 0 to 149; 0 ("other objects") is void. Names of ``objectInfo150.txt`` win.
    """
    images, masks = root / "images", root / "annotations"
    parts = [name for name in ("training", "validation") if (images / name).is_dir() and (masks / name).is_dir()]
    if not parts:
        return None
    info = root / INFO
    if not info.is_file() and not _first_name(images / parts[0]).startswith(FILE_PREFIX):
        return None
    classes = _named(info) if info.is_file() else ADE20K_CLASSES
    source = INFO if info.is_file() else "the challenge's own table"
    reasons = [
        "images and annotations with training and validation: ADE20K SceneParsing, 150 classes",
        "mask values 1 to 150 are the classes; 0, other objects, is void",
        f"class names: the first of each class's synonyms, from {source}",
    ]
    splits = {}
    for split, names in SPLIT_NAMES:
        folder = child(images, names)
        if folder is None:
            continue
        if not (masks / folder.name).is_dir():
            if split == "test":
                reasons.append(f"images/{folder.name} has no annotations and is left out")
            else:
                text = f"{folder} holds images, but {masks / folder.name} is missing"
                problems.report("unpaired", text, "add the masks of that split", [folder])
            continue
        stems = [path.relative_to(folder) for path in image_files(folder)]
        pairs = [(path.as_posix(), path.with_suffix(".png").as_posix()) for path in stems]
        splits[split] = listed(pairs, folder, masks / folder.name, problems)
    values = {value: value - 1 for value in range(1, len(ADE20K_NAMES) + 1)}
    public = all(item.id.startswith(FILE_PREFIX) for items in splits.values() for item in items)
    if not public:
        reasons.append(in_form_of("ADE20K"))
    return Found("ade20k", reasons, splits, classes, MaskEncoding(values=values, void_values=(0,)), public=public)


def _first_name(folder: Path) -> str:
    """The name of one file of a folder, without listing them all."""
    with os.scandir(folder) as entries:
        return next((entry.name for entry in entries if not entry.name.startswith(".")), "")


def _named(info: Path) -> ClassSet:
    """The classes as ``objectInfo150.txt`` names them: columns by tabs, ``Idx`` first and ``Name`` last."""
    rows = [[cell.strip() for cell in line.split("\t")] for line in lines(info)[1:]]
    ids = [row[0] for row in rows]
    names = tuple(row[-1].split(",")[0].strip() for row in rows)
    if ids != [str(index + 1) for index in range(len(ADE20K_NAMES))]:
        raise DataError(
            f"{info}: lists {len(ids)} classes; expected a heading and a line for each of 1 to {len(ADE20K_NAMES)}, "
            "columns separated by tabs; take the file from the data set's archive again, or remove it"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{info}: names two classes {twice[0]!r}; give each a first synonym of its own")
    return ClassSet(names, ADE20K_CLASSES.palette)
