"""The layouts that data sets can be written in."""

from fullconv.data.targets.base import Writer, free_name
from fullconv.data.targets.cityscapes import Cityscapes
from fullconv.data.targets.coco import Coco
from fullconv.data.targets.folder import Folder
from fullconv.data.targets.voc import Voc
from fullconv.data.targets.webdataset import WebDataset

TARGETS: dict[str, type[Writer]] = {
    "folder": Folder,
    "voc": Voc,
    "cityscapes": Cityscapes,
    "coco": Coco,
    "webdataset": WebDataset,
}

__all__ = ["TARGETS", "Writer", "free_name"]
