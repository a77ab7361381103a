"""SIFT Flow, as Tighe and Lazebnik distribute it.

Liu et al., "Nonparametric Scene Parsing", CVPR 2009; Tighe and Lazebnik, "SuperParsing", ECCV 2010. 2,688 outdoor
images of 256x256 from LabelMe (2,488 train, 200 test), 33 semantic classes. No licence comes with the files, the images
are LabelMe's. The geometric labels (``GeoLabels``) are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from fullconv.data.sources import LabelFile
from fullconv.errors import DataError, first_few
from fullconv.formats.containers.matlab import labels_from, read_mat
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, child, image_files, in_form_of, lines, listed
from fullconv.spec import ClassSet

SIFT_FLOW_NAMES = (
    "awning", "balcony", "bird", "boat", "bridge", "building", "bus", "car", "cow", "crosswalk", "desert",
    "door", "fence", "field", "grass", "moon", "mountain", "person", "plant", "pole", "river", "road", "rock",
    "sand", "sea", "sidewalk", "sign", "sky", "staircase", "streetlight", "sun", "tree", "window",
)  # fmt: skip
TEST_LIST = "TestSet1.txt"
SET = "spatial_envelope_256x256_static_8outdoorcategories"
"""What SIFT Flow calls the folder of its images."""
UNANNOTATED = ("highway_bost181", "street_urb506")
"""Images whose published label maps are empty."""


@dataclass(frozen=True)
class SiftFlowLabels(LabelFile):
    """Labels of one file of ``SemanticLabels``: ``S``, 0 unlabelled, class ``k`` is id ``k - 1``."""

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """uint8 ``[height, width]``."""
        return labels_from(read_mat(self.path, "S"), str(self.path), num_classes, ignore_index, first=1)


def recognise_sift_flow(root: Path, description: Description, problems: Problems) -> Found | None:
    """``Images/<set>/*.jpg``, ``SemanticLabels/<set>/*.mat`` with ``S`` and ``names``, ``TestSet1.txt``."""
    images, labels = child(root, ("images",)), child(root, ("semanticlabels",))
    if images is None or labels is None:
        return None
    sets = sorted(path.name for path in labels.iterdir() if path.is_dir() and (images / path.name).is_dir())
    if not sets:
        return None
    if len(sets) > 1:
        raise DataError(f"{labels}: holds {first_few(sets)}; expected the one folder of SIFT Flow, move others away")
    pictures = [path for path in image_files(images / sets[0]) if path.stem not in UNANNOTATED]
    if not pictures:
        raise DataError(f"{images / sets[0]}: no images found; unpack SiftFlowDataset.zip again")
    pairs = [(path.name, f"{path.stem}.mat") for path in pictures]
    items = listed(pairs, images / sets[0], labels / sets[0], problems, SiftFlowLabels)
    names = _names(items[0].annotation.files[0]) if items else SIFT_FLOW_NAMES
    reasons = [
        f"Images and SemanticLabels: SIFT Flow, {len(names)} semantic classes as its files name them, 0 is unlabelled",
        f"left out where present, because their label maps are empty: {', '.join(UNANNOTATED)}",
    ]
    public = sets[0] == SET
    if not public:
        reasons.append(in_form_of("SIFT Flow"))
    listing = root / TEST_LIST
    if not listing.is_file():
        return Found("sift_flow", [*reasons, f"{TEST_LIST} is not there"], {"": items}, ClassSet(names), public=public)
    test = {PureWindowsPath(line).stem for line in lines(listing)} - set(UNANNOTATED)
    missing = sorted(test - {item.id for item in items})
    if missing:
        text = f"{listing}: {len(missing)} of {len(test)} entries name no image ({first_few(missing)})"
        problems.report("unpaired", text, "unpack the images again, or take them off the list")
    reasons.append(f"{TEST_LIST}: the test images are val, all others train")
    splits = {
        "train": [item for item in items if item.id not in test],
        "val": [item for item in items if item.id in test],
    }
    return Found("sift_flow", reasons, splits, ClassSet(names), public=public)


def _names(path: Path) -> tuple[str, ...]:
    """The cell array ``names`` of one file."""
    return tuple(str(np.ravel(cell)[0]) for cell in np.ravel(read_mat(path, "names")))
