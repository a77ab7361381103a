"""The layouts that data sets can be written in."""

from fullconv.formats.write.base import Writer, free_name
from fullconv.formats.write.cityscapes import Cityscapes
from fullconv.formats.write.coco import Coco
from fullconv.formats.write.folder import Folder
from fullconv.formats.write.voc import Voc
from fullconv.formats.write.webdataset import WebDataset

TARGETS: dict[str, type[Writer]] = {
    "folder": Folder,
    "voc": Voc,
    "cityscapes": Cityscapes,
    "coco": Coco,
    "webdataset": WebDataset,
}

__all__ = ["TARGETS", "Writer", "free_name"]
