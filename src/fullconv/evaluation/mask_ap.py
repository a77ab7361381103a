"""Objects found against objects annotated: the average precision of masks, by pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fullconv.data import DatasetSpec, Item
from fullconv.data.annotations import IGNORED
from fullconv.data.instances import true_instances
from fullconv.evaluation.metrics import ObjectScores
from fullconv.polygons.contents import categories, category
from fullconv.regions.instances import Entry, Instances, mask_entry, run_lengths
from fullconv.spec import ClassSet


class Judged(NamedTuple):
    """One image's objects as COCO's JSON has them, without numbers: the annotated ones and those found."""

    size: tuple[int, int]
    true: list[Entry]
    found: list[Entry]


def judged(spec: DatasetSpec, items: Sequence[Item], found: Sequence[Instances]) -> list[Judged]:
    """The objects of some items beside what was found in each.

    Where annotations keep no objects, they are the connected components of the label map.
    """
    return [Judged(one.size, true_entries(spec, item), one.entries()) for item, one in zip(items, found, strict=True)]


def true_entries(spec: DatasetSpec, item: Item) -> list[Entry]:
    """The objects of an item. What is void in the label map is a crowd of every class: nothing found there counts."""
    classes = spec.classes
    labels = item.annotation.label_map(len(classes), classes.ignore_index)
    size, void, entries = (labels.shape[0], labels.shape[1]), labels == classes.ignore_index, []
    for one in true_instances(item.annotation, labels, classes):
        if one.label == IGNORED:
            void = void | one.mask
        elif one.label != classes.background and one.mask.any():
            entry = mask_entry(run_lengths(one.mask), size)
            entries.append({"category_id": category(one.label), **entry, "iscrowd": int(one.crowd)})
    if void.any():
        entry = mask_entry(run_lengths(void), size)
        entries += [{"category_id": one["id"], **entry, "iscrowd": 1} for one in categories(classes)]
    return entries


def mask_ap(images: Sequence[Judged], classes: ClassSet) -> ObjectScores:
    """The scores over all images, as ``COCOeval`` of COCO's own tools gives them (``iouType="segm"``)."""
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        true, found = (_coco(images, name, classes) for name in ("true", "found"))
        evaluation = COCOeval(true, found, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    mean = [math.nan if value < 0 else float(value) for value in evaluation.stats]
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoUs, recalls, classes
    by_class = {
        entry["name"]: float(known.mean()) if (known := column[column > -1]).size else math.nan
        for entry, column in zip(categories(classes), np.moveaxis(precision, 2, 0), strict=True)
    }
    objects = sum(not entry["iscrowd"] for image in images for entry in image.true)
    ap, ap50, ap75, small, medium, large = mean[:6]
    return ObjectScores(ap, ap50, ap75, small, medium, large, mean[8], by_class, objects, len(images))


def _coco(images: Sequence[Judged], which: str, classes: ClassSet) -> Any:
    """The objects of one kind, as pycocotools reads them."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {"images": [], "annotations": [], "categories": categories(classes)}
    for number, image in enumerate(images, start=1):
        coco.dataset["images"].append({"id": number, "height": image.size[0], "width": image.size[1]})
        for entry in getattr(image, which):
            annotation = {"id": len(coco.dataset["annotations"]) + 1, "image_id": number, **entry}
            coco.dataset["annotations"].append(annotation)
    coco.createIndex()
    return coco
