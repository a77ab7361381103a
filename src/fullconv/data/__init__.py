"""Files -> samples -> batches. A dataset is described by data (:class:`DatasetSpec`), not by a class."""

from fullconv.data.augment import Augmentation
from fullconv.data.loader import Batch, EvalData, Sample, TrainData, read_sample
from fullconv.data.masks import write_mask
from fullconv.data.open import open_dataset
from fullconv.data.report import CheckReport, check
from fullconv.data.shapes import Shapes
from fullconv.data.spec import DatasetSpec, Item
from fullconv.images.encoding import MaskEncoding
from fullconv.images.pixels import read_image

__all__ = [
    "Augmentation",
    "Batch",
    "CheckReport",
    "DatasetSpec",
    "EvalData",
    "Item",
    "MaskEncoding",
    "Sample",
    "Shapes",
    "TrainData",
    "check",
    "open_dataset",
    "read_image",
    "read_sample",
    "write_mask",
]
