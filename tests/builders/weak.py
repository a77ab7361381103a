"""Data sets of annotations in memory, and what they teach."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.data.annotations import Annotation, box_ring
from fullconv.data.dataset import AnnotationSource
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage, FileMask
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet
from fullconv.weak import Supervision

CLASSES = ClassSet(("background", "cat", "dog"))


SIZE = (24, 32)


VOID = 255


BOX = Annotation(1, "box", (box_ring(4, 5, 12, 15),), name="cat", drawn=True)


LINES = (
    Annotation(1, "line", (np.array([(6.5, 8.5), (10.5, 8.5)]),), name="cat"),
    Annotation(0, "line", (np.array([(20.5, 2.5), (20.5, 20.5)]),), name="background"),
)


TAG = Annotation(2, "tag", name="dog")


OUTLINE = Annotation(2, "mask", (np.array([(2.0, 2), (14, 2), (14, 10), (2, 10)]),), instance=1, drawn=True)


def drawn(*annotations: Annotation, background: int = 0, has_label_map: bool = True) -> Annotations:
    return Annotations("here", SIZE, annotations, "coco", background, has_label_map=has_label_map)


def mask(folder: Path, name: str, labels: np.ndarray) -> FileMask:
    Image.fromarray(labels).save(folder / f"{name}_mask.png")
    return FileMask(folder / f"{name}_mask.png", MaskEncoding())


def dense() -> np.ndarray:
    labels = np.zeros(SIZE, np.uint8)
    labels[3:12, 4:16] = 1
    labels[14:20, 8:28] = 2
    return labels


def spec(
    folder: Path, train: dict[str, AnnotationSource], val: dict[str, AnnotationSource], classes: ClassSet = CLASSES
) -> DatasetSpec:
    folder.mkdir(exist_ok=True)
    for name in {**train, **val}:
        Image.new("RGB", SIZE[::-1], (90, 20, 30)).save(folder / f"{name}.png")
    splits = {
        split: [Item(name, FileImage(folder / f"{name}.png"), source) for name, source in sources.items()]
        for split, sources in (("train", train), ("val", val))
    }
    return DatasetSpec("mine", folder, "test", (), classes, MaskEncoding(), splits)


def labels_of(found: Supervision, name: str) -> np.ndarray:
    """As a reading process has them."""
    item = next(item for items in found.spec.splits.values() for item in items if item.id == name)
    return read_sample(found.spec, pickle.loads(pickle.dumps(item))).labels
