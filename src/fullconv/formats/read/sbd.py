"""The Semantic Boundaries Dataset (SBD).

Hariharan et al., "Semantic Contours from Inverse Detectors", ICCV 2011. 11,355 images of PASCAL VOC 2011: 8,498 train,
2,857 val, a division of its own that cuts across VOC's. The images are VOC's, from Flickr, whose terms of
use they fall under; the download page names no licence for the annotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.dataset import Item
from fullconv.data.sources import LabelFile
from fullconv.errors import DataError
from fullconv.formats.containers.matlab import labels_from, read_mat
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, in_form_of, lines, listed
from fullconv.formats.read.voc import VOC_CLASSES, is_voc


@dataclass(frozen=True)
class SbdLabels(LabelFile):
    """Labels of one ``cls/*.mat``: ``GTcls.Segmentation``."""

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """uint8 ``[height, width]``; SBD has no unlabelled pixels.

        Raises:
            DataError: a file that is damaged or holds something else.
        """
        truth = read_mat(self.path, "GTcls")
        if truth.dtype.names is None or "Segmentation" not in truth.dtype.names or truth.size != 1:
            raise DataError(f"{self.path}: GTcls has no field Segmentation; is this a file of cls/? Unpack it again")
        return labels_from(truth["Segmentation"].item(), str(self.path), num_classes, ignore_index)


def recognise_sbd(root: Path, description: Description, problems: Problems) -> Found | None:
    """SBD: ``img/*.jpg``, ``cls/*.mat`` and the lists ``train.txt`` and ``val.txt``, here or below ``dataset``."""
    folder = sbd_folder(root)
    if folder is None:
        return None
    splits = {split: sbd_items(folder, split, problems) for split in ("train", "val")}
    where = "img and cls" if folder == root else f"{folder.relative_to(root)}/img and cls"
    reasons = [
        f"{where}, with .mat files: the Semantic Boundaries Dataset, VOC's 21 classes, no pixel is void",
        "train.txt and val.txt are SBD's own: its train holds images of VOC's val",
    ]
    public = is_voc(root, [item for items in splits.values() for item in items])
    if not public:
        reasons.append(in_form_of("SBD"))
    return Found("sbd", reasons, splits, VOC_CLASSES, public=public)


def sbd_folder(root: Path) -> Path | None:
    """Where ``img`` and ``cls`` lie: the folder itself, ``dataset`` or ``benchmark_RELEASE/dataset`` below it."""
    for folder in (root, root / "dataset", root / "benchmark_RELEASE" / "dataset"):
        if (folder / "img").is_dir() and (folder / "cls").is_dir() and any((folder / "cls").glob("*.mat")):
            return folder
    return None


def sbd_items(folder: Path, split: str, problems: Problems) -> list[Item]:
    """The items of ``train.txt`` or ``val.txt``.

    Raises:
        DataError: no such list, or a listed file is missing.
    """
    listing = folder / f"{split}.txt"
    if not listing.is_file():
        raise DataError(f"{listing}: no such file; SBD's lists train.txt and val.txt lie beside img and cls, add them")
    names = [(f"{name}.jpg", f"{name}.mat") for name in lines(listing)]
    return listed(names, folder / "img", folder / "cls", problems, SbdLabels)
