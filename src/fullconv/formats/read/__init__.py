"""Recognising the layouts that data sets come in. Each recogniser looks at a folder and says what it is, or None."""

from collections.abc import Callable
from pathlib import Path

from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.ade20k import ADE20K_CLASSES, recognise_ade20k
from fullconv.formats.read.base import Found, image_files
from fullconv.formats.read.camvid import CAMVID_CLASSES, recognise_camvid
from fullconv.formats.read.camvid_original import recognise_camvid_original
from fullconv.formats.read.cityscapes import CITYSCAPES_CLASSES, recognise_cityscapes
from fullconv.formats.read.coco import recognise_coco
from fullconv.formats.read.coco_panoptic import recognise_coco_panoptic
from fullconv.formats.read.coco_stuff import COCO_STUFF_CLASSES, recognise_coco_stuff
from fullconv.formats.read.cvat_mask import recognise_cvat_mask
from fullconv.formats.read.cvat_xml import recognise_cvat_xml
from fullconv.formats.read.folder import recognise_folder
from fullconv.formats.read.hf_datasets import recognise_hf_datasets
from fullconv.formats.read.image_tags import recognise_image_tags
from fullconv.formats.read.kitti_road import recognise_kitti_road
from fullconv.formats.read.label_studio import recognise_label_studio
from fullconv.formats.read.labelme import recognise_labelme
from fullconv.formats.read.nyu_v2 import recognise_nyu_v2
from fullconv.formats.read.pets import PET_CLASSES, recognise_pets
from fullconv.formats.read.roboflow_masks import recognise_roboflow_masks
from fullconv.formats.read.sbd import recognise_sbd
from fullconv.formats.read.sift_flow import recognise_sift_flow
from fullconv.formats.read.supervisely import recognise_supervisely
from fullconv.formats.read.voc import VOC_CLASSES, VOC_NAMES, recognise_voc
from fullconv.formats.read.voc_boxes import recognise_voc_boxes
from fullconv.formats.read.voc_sbd import recognise_voc_sbd
from fullconv.formats.read.webdataset import recognise_webdataset
from fullconv.formats.read.yolo import recognise_yolo

RECOGNISERS: tuple[Callable[[Path, Description, Problems], Found | None], ...] = (
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
    recognise_voc_boxes,
    recognise_image_tags,
    recognise_folder,
)

__all__ = [
    "ADE20K_CLASSES",
    "CAMVID_CLASSES",
    "CITYSCAPES_CLASSES",
    "COCO_STUFF_CLASSES",
    "PET_CLASSES",
    "RECOGNISERS",
    "VOC_CLASSES",
    "VOC_NAMES",
    "Found",
    "image_files",
    "recognise_folder",
]
