"""CamVid."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from fullconv.errors import first_few
from fullconv.files import leads_outside
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, image_files, lines, listed, report_outside
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet

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


FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_|test_\d{5}$")


def recognise_camvid(root: Path, description: Description, problems: Problems) -> Found | None:
    """CamVid as SegNet laid it out: ``train``, ``trainannot``, ..., and lists of path pairs with a foreign prefix."""
    present = [s for s in ("train", "val", "test") if (root / s).is_dir() and (root / f"{s}annot").is_dir()]
    if not present or not FRAME.match(next(iter(image_files(root / present[0])), Path()).stem):
        return None  # the same folders with other data are read as plain ones
    splits = {}
    for split in present:
        listing = root / f"{split}.txt"
        if listing.is_file():
            names = _names(listing, problems)
        else:
            names = [(path.name, path.name) for path in image_files(root / split)]
        splits[split] = listed(names, root / split, root / f"{split}annot", problems)
    items = [item for members in splits.values() for item in members]
    return Found(
        "camvid",
        [
            "folders train and trainannot: CamVid as SegNet laid it out, 11 classes, 11 is void",
            "lists: only the file names of their paths are used, the prefix is another machine's",
        ],
        splits,
        CAMVID_CLASSES,
        MaskEncoding(void_values=(11, 255)),
        public=all(FRAME.match(item.id) for item in items),
    )


def _names(listing: Path, problems: Problems) -> list[tuple[str, str]]:
    """The file names of the two paths of each line; their folders may lie on another machine, but not climb."""
    entries = list[str]()
    with problems.catching("lists"):
        entries = lines(listing)
    pairs = {entry: entry.split() for entry in entries}
    wrong = [entry for entry, pair in pairs.items() if len(pair) != 2]
    if wrong:
        text = f"{listing}: expected two paths a line, 'image mask', found {first_few(wrong)}"
        problems.report("lists", text, "correct it")
    climbing = [entry for entry, pair in pairs.items() if any(leads_outside(path.lstrip("/")) for path in pair)]
    report_outside(listing, climbing, problems)
    sound = [pairs[entry] for entry in entries if entry not in {*wrong, *climbing}]
    return [(PurePosixPath(image).name, PurePosixPath(mask).name) for image, mask in sound]
