"""CamVid as its authors distribute it.

Brostow et al., "Segmentation and Recognition Using Structure from Motion Point Clouds", ECCV 2008; "Semantic Object
Classes in Video", Pattern Recognition Letters 2009. 701 frames of 960x720 from four drives, 32 classes as RGB colours;
no licence comes with the files. The 32 are merged into SegNet's 11 (Badrinarayanan et al., arXiv:1511.00561).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from fullconv.data.dataset import Item
from fullconv.data.sources import LabelFile
from fullconv.errors import DataError, first_few
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files, in_form_of, lines, listed
from fullconv.formats.read.camvid import CAMVID_CLASSES
from fullconv.formats.read.folder import IMAGE_FOLDERS
from fullconv.images.mask_file import packed, unpacked
from fullconv.images.mask_reading import read_mask
from fullconv.spec import Colour

CAMVID_32: dict[str, tuple[Colour, str]] = {
    "Animal": ((64, 128, 64), ""),
    "Archway": ((192, 0, 128), ""),
    "Bicyclist": ((0, 128, 192), "Bicyclist"),
    "Bridge": ((0, 128, 64), "Building"),
    "Building": ((128, 0, 0), "Building"),
    "Car": ((64, 0, 128), "Car"),
    "CartLuggagePram": ((64, 0, 192), ""),
    "Child": ((192, 128, 64), ""),
    "Column_Pole": ((192, 192, 128), "Pole"),
    "Fence": ((64, 64, 128), "Fence"),
    "LaneMkgsDriv": ((128, 0, 192), "Road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "Road"),
    "Misc_Text": ((128, 128, 64), "SignSymbol"),
    "MotorcycleScooter": ((192, 0, 192), "Bicyclist"),
    "OtherMoving": ((128, 64, 64), ""),
    "ParkingBlock": ((64, 192, 128), "Pavement"),
    "Pedestrian": ((64, 64, 0), "Pedestrian"),
    "Road": ((128, 64, 128), "Road"),
    "RoadShoulder": ((128, 128, 192), "Pavement"),
    "Sidewalk": ((0, 0, 192), "Pavement"),
    "SignSymbol": ((192, 128, 128), "SignSymbol"),
    "Sky": ((128, 128, 128), "Sky"),
    "SUVPickupTruck": ((64, 128, 192), "Car"),
    "TrafficCone": ((0, 0, 64), "Pole"),
    "TrafficLight": ((0, 64, 64), "SignSymbol"),
    "Train": ((192, 64, 128), "Car"),
    "Tree": ((128, 128, 0), "Tree"),
    "Truck_Bus": ((192, 128, 192), "Car"),
    "Tunnel": ((64, 0, 64), "Building"),
    "VegetationMisc": ((192, 192, 0), "Tree"),
    "Void": ((0, 0, 0), ""),
    "Wall": ((64, 192, 0), "Building"),
}
"""Each of the 32 classes: its colour, and which of the 11 it becomes in SegNet's masks (empty: void)."""
VOID = -1
LARGEST_UNKNOWN = 0.001
"""Share of a mask's pixels that may have none of the colours: Seq05VD_f02610_L.png has 0.03% of blended ones."""
DRIVE = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)")


@dataclass(frozen=True)
class CamvidLabels(LabelFile):
    """Labels of one RGB mask.

    Attributes:
        colours: each colour with its class id, or :data:`VOID`.
    """

    colours: tuple[tuple[Colour, int], ...]

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """uint8 ``[height, width]``.

        Raises:
            DataError: not an RGB mask, or more than :data:`LARGEST_UNKNOWN` of it in other colours.
        """
        shown = read_mask(self.path).packed()
        if shown is None:
            raise DataError(f"{self.path}: has no colours; expected CamVid's RGB colours, unpack the masks again")
        order = sorted((int(packed(np.array(colour))), index) for colour, index in self.colours)
        keys, ids = (np.array(column) for column in zip(*order, strict=True))
        place = np.searchsorted(keys, shown).clip(max=len(keys) - 1)
        unknown = keys[place] != shown
        if unknown.mean() > LARGEST_UNKNOWN:
            row, column = (int(value) for value in np.argwhere(unknown)[0])
            raise DataError(
                f"{self.path}: {unknown.mean():.1%} of its pixels have none of CamVid's colours, first "
                f"{unpacked(int(shown[row, column]))} at row {row}, column {column}; save it without smoothing"
            )
        labels = np.where(unknown | (ids[place] == VOID), ignore_index, ids[place])
        return labels.astype(np.uint8 if ignore_index <= 255 else np.int32)


def recognise_camvid_original(root: Path, description: Description, problems: Problems) -> Found | None:
    """``701_StillsRaw_full`` and ``LabeledApproved_full`` with ``<name>_L.png``; ``label_colors.txt`` may lie beside.

    Lists ``train.txt``, ``val.txt`` and ``test.txt`` are followed; without them the frames are divided as SegNet did.
    ``classes`` with colours in ``dataset.yaml`` takes the place of the 11 classes.
    """
    images = child(root, ("701_stillsraw_full", *IMAGE_FOLDERS))
    masks = child(root, ("labeledapproved_full",))
    if images is None or masks is None:
        return None
    listing = root / "label_colors.txt"
    if listing.is_file():
        _compare(listing)
    colours = _colours(description, problems)
    pictures = image_files(images)
    if not pictures:
        raise DataError(f"{images}: no images found; unpack CamVid's 701 frames there")
    pairs = [(path.relative_to(images).as_posix(), f"{path.stem}_L.png") for path in pictures]
    items = listed(pairs, images, masks, problems, lambda path: CamvidLabels(path, colours))
    reasons = [
        f"{images.name} and {masks.name}: CamVid as its authors distribute it, RGB masks",
        "classes and colours from dataset.yaml" if description.classes else
        "its 32 classes are merged into SegNet's 11, Void is void",
        f"pixels of other colours are void, where they are at most {LARGEST_UNKNOWN:.1%} of a mask",
    ]  # fmt: skip
    splits = _splits(root, items, reasons, problems)
    handles = ("ignore",) if description.classes else ()
    public = all(DRIVE.fullmatch(item.id) for item in items)
    if not public:
        reasons.append(in_form_of("CamVid"))
    classes = description.class_set() or CAMVID_CLASSES
    return Found("camvid_original", reasons, splits, classes, handles=handles, public=public)


def _colours(description: Description, problems: Problems) -> tuple[tuple[Colour, int], ...]:
    if description.classes:
        encoding = description.encoding(description.class_set(), problems)
        if not encoding.colours:
            raise DataError("dataset.yaml: classes has no colours; CamVid's masks need them: classes: {Road: [...]}")
        return (*encoding.colours.items(), *((colour, VOID) for colour in encoding.void_colours))
    ids = {name: index for index, name in enumerate(CAMVID_CLASSES.names)}
    return tuple((colour, ids.get(merged, VOID)) for colour, merged in CAMVID_32.values())


def _compare(listing: Path) -> None:
    """Refuse a ``label_colors.txt`` (lines ``R G B name``) that contradicts the table."""
    names = {colour: name for name, (colour, _) in CAMVID_32.items()}
    for line in lines(listing):
        words = line.split()
        if len(words) < 4 or not all(word.isdigit() for word in words[:3]):
            raise DataError(f"{listing}: line {line!r}; expected 'R G B name'")
        colour = (int(words[0]), int(words[1]), int(words[2]))
        if colour not in names:
            raise DataError(f"{listing}: {words[3]} has colour {colour}, which CamVid's 32 classes do not; correct it,"
                            " or name classes with colours in dataset.yaml and remove the file")  # fmt: skip
        if words[3] in CAMVID_32 and words[3] != names[colour]:
            raise DataError(f"{listing}: {words[3]} has colour {colour}, in CamVid that is {names[colour]}; correct it")


def _splits(root: Path, items: Sequence[Item], reasons: list[str], problems: Problems) -> dict[str, Sequence[Item]]:
    lists = {split: root / f"{split}.txt" for split, _ in SPLIT_NAMES if (root / f"{split}.txt").is_file()}
    known = {item.id: item for item in items}
    if "train" in lists:
        reasons.append(f"lists {', '.join(path.name for path in lists.values())}: their file names are used")
        return {split: _listed_items(path, known, problems) for split, path in lists.items()}
    places = {item.id: _segnet_split(item.id) for item in items}
    if "" in places.values() or not {"train", "val"} <= set(places.values()):
        reasons.append("the frames are not all of SegNet's train and val: its split is not used")
        return {"": items}
    reasons.append(
        "no lists: divided as SegNet did: val is drive 0016E5, frames 7959 to 8159, test drive 0001TP from 8550 on and "
        "Seq05VD, train the rest (of all 701: 367, 101 and 233)"
    )
    return {
        split: [item for item in items if places[item.id] == split]
        for split in ("train", "val", "test")
        if split in places.values()
    }


def _segnet_split(name: str) -> str:
    """Which part of SegNet's split a frame belongs to; empty for names that are not CamVid's."""
    match = DRIVE.fullmatch(name)
    if match is None:
        return ""
    drive, frame = match.group(1), int(match.group(2))
    if drive == "Seq05VD" or (drive == "0001TP" and frame >= 8550):
        return "test"
    return "val" if drive == "0016E5" and 7959 <= frame <= 8159 else "train"


def _listed_items(listing: Path, known: dict[str, Item], problems: Problems) -> list[Item]:
    names = [PureWindowsPath(line.split()[0]).stem for line in lines(listing)]
    missing = [name for name in names if name not in known]
    if missing:
        text = f"{listing}: {len(missing)} of {len(names)} entries name no image ({first_few(missing)})"
        problems.report("unpaired", text, "add the images, or take them off the list")
    return [known[name] for name in names if name in known]
