"""The layouts that data sets can be written in."""

from fullconv.formats.write.base import Writer, free_name
from fullconv.formats.write.cityscapes import Cityscapes
from fullconv.formats.write.coco import Coco
from fullconv.formats.write.cvat import Cvat
from fullconv.formats.write.folder import Folder
from fullconv.formats.write.labelme import LabelMe
from fullconv.formats.write.voc import Voc
from fullconv.formats.write.webdataset import WebDataset
from fullconv.formats.write.yolo import Yolo

TARGETS: dict[str, type[Writer]] = {
    "folder": Folder,
    "voc": Voc,
    "cityscapes": Cityscapes,
    "coco": Coco,
    "labelme": LabelMe,
    "yolo": Yolo,
    "cvat": Cvat,
    "webdataset": WebDataset,
}

__all__ = ["TARGETS", "Writer", "free_name"]
