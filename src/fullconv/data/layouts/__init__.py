"""Recognising the layouts that data sets come in. Each recogniser looks at a folder and says what it is, or None."""

from collections.abc import Callable
from pathlib import Path

from fullconv.data.description import Description
from fullconv.data.layouts.base import Found, image_files
from fullconv.data.layouts.camvid import CAMVID_CLASSES, recognise_camvid
from fullconv.data.layouts.folder import recognise_folder
from fullconv.data.layouts.kitti_road import recognise_kitti_road
from fullconv.data.layouts.labelme import recognise_labelme
from fullconv.data.layouts.pets import PET_CLASSES, recognise_pets
from fullconv.data.layouts.voc import VOC_NAMES, recognise_voc

RECOGNISERS: tuple[Callable[[Path, Description], Found | None], ...] = (
    recognise_voc,
    recognise_camvid,
    recognise_kitti_road,
    recognise_pets,
    recognise_labelme,
    recognise_folder,
)

__all__ = ["CAMVID_CLASSES", "PET_CLASSES", "RECOGNISERS", "VOC_NAMES", "Found", "image_files", "recognise_folder"]
