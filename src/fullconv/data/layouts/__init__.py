"""Recognising the layouts that data sets come in. Each recogniser looks at a folder and says what it is, or None."""

from collections.abc import Callable
from pathlib import Path

from fullconv.data.description import Description
from fullconv.data.layouts.ade20k import ADE20K_CLASSES, recognise_ade20k
from fullconv.data.layouts.base import Found, image_files
from fullconv.data.layouts.camvid import CAMVID_CLASSES, recognise_camvid
from fullconv.data.layouts.camvid_original import recognise_camvid_original
from fullconv.data.layouts.cityscapes import CITYSCAPES_CLASSES, recognise_cityscapes
from fullconv.data.layouts.coco import recognise_coco
from fullconv.data.layouts.coco_panoptic import recognise_coco_panoptic
from fullconv.data.layouts.coco_stuff import COCO_STUFF_CLASSES, recognise_coco_stuff
from fullconv.data.layouts.cvat_mask import recognise_cvat_mask
from fullconv.data.layouts.cvat_xml import recognise_cvat_xml
from fullconv.data.layouts.folder import recognise_folder
from fullconv.data.layouts.hf_datasets import recognise_hf_datasets
from fullconv.data.layouts.kitti_road import recognise_kitti_road
from fullconv.data.layouts.label_studio import recognise_label_studio
from fullconv.data.layouts.labelme import recognise_labelme
from fullconv.data.layouts.nyu_v2 import recognise_nyu_v2
from fullconv.data.layouts.pets import PET_CLASSES, recognise_pets
from fullconv.data.layouts.roboflow_masks import recognise_roboflow_masks
from fullconv.data.layouts.sbd import recognise_sbd
from fullconv.data.layouts.sift_flow import recognise_sift_flow
from fullconv.data.layouts.supervisely import recognise_supervisely
from fullconv.data.layouts.voc import VOC_NAMES, recognise_voc
from fullconv.data.layouts.voc_sbd import recognise_voc_sbd
from fullconv.data.layouts.webdataset import recognise_webdataset
from fullconv.data.layouts.yolo import recognise_yolo

RECOGNISERS: tuple[Callable[[Path, Description], Found | None], ...] = (
    recognise_cvat_mask,  # before VOC, whose folders it uses
    recognise_voc_sbd,
    recognise_voc,
    recognise_sbd,
    recognise_camvid,
    recognise_camvid_original,
    recognise_kitti_road,
    recognise_pets,
    recognise_webdataset,
    recognise_hf_datasets,  # before those that read every JSON file
    recognise_cityscapes,
    recognise_ade20k,
    recognise_coco_stuff,
    recognise_coco_panoptic,
    recognise_coco,
    recognise_cvat_xml,
    recognise_supervisely,
    recognise_roboflow_masks,
    recognise_yolo,
    recognise_label_studio,
    recognise_labelme,
    recognise_nyu_v2,
    recognise_sift_flow,
    recognise_folder,
)

__all__ = [
    "ADE20K_CLASSES",
    "CAMVID_CLASSES",
    "CITYSCAPES_CLASSES",
    "COCO_STUFF_CLASSES",
    "PET_CLASSES",
    "RECOGNISERS",
    "VOC_NAMES",
    "Found",
    "image_files",
    "recognise_folder",
]
