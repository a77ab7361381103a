"""What a data set is, and batches of it. It is described by data (:class:`DatasetSpec`), not by a class."""

from fullconv.data.augment import Augmentation
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.loader import Batch, EvalData, TrainData
from fullconv.data.sample import Sample, read_sample
from fullconv.data.shapes import Shapes

__all__ = ["Augmentation", "Batch", "DatasetSpec", "EvalData", "Item", "Sample", "Shapes", "TrainData", "read_sample"]
