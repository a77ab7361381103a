"""Training a region model: one pass over the images, then the SVMs are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torchvision.ops import box_iou

from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.data.dataset import AnnotationSource
from fullconv.data.instances import true_instances
from fullconv.errors import DataError, first_few
from fullconv.libraries import library
from fullconv.regions.proposals import Proposals, regions_of
from fullconv.regions.refine_fit import RefineTrainer
from fullconv.regions.segmenter import RegionSegmenter
from fullconv.regions.svm import SvmTrainer
from fullconv.spec import ClassSet

NEGATIVE = 0.3
"""IoU with every object of a class below which a region is a negative of it; R-CNN's."""
POSITIVE = 0.5
"""The best region of an object is a positive from here; SDS's."""
SMALLEST = 16
"""Pixels; smaller objects are none to learn from."""


def fit_regions(
    segmenter: RegionSegmenter,
    spec: DatasetSpec,
    items: Sequence[Item],
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """Train the SVMs, and the masks' refinement, of a region model; its encoder stays as it is.

    Args:
        spec: the data, of the segmenter's classes.
        items: its training images.
        progress: called with the number of images done.

    Returns:
        What to know, one line each: classes that nothing was learned of.

    Raises:
        UsageError: a package is not installed.
        DataError: no image shows an object of any class.
    """
    library("sklearn.svm", "training on regions")
    runner, background = segmenter.runner, spec.classes.background
    parts, count = runner.parts, len(spec.classes)
    labels = [label for label in range(count) if label != background]
    svms = SvmTrainer(count, parts.features.width, labels, seed)
    refining = None if parts.refiner is None else RefineTrainer(parts.refiner)
    pixels = np.zeros(count, np.int64)
    for done, item in enumerate(items, start=1):
        sample = read_sample(spec, item)
        pixels += np.bincount(sample.labels.ravel(), minlength=count + 1)[:count]
        objects, classes = objects_of(item.annotation, sample.labels, spec.classes)
        image = torch.from_numpy(sample.image).permute(2, 0, 1)
        proposals = runner.proposals(image)
        overlap = overlaps(proposals, objects, len(classes), sample.labels != spec.classes.ignore_index)
        features = runner.describe(image, proposals)
        seen = (
            overlap if parts.features.masks else box_overlaps(proposals.boxes, regions_of(objects, len(classes)).boxes)
        )
        positive, negative = examples(seen, np.array(classes, np.int64), count)
        svms.add(features, positive, negative)
        if classes:
            truth = runner.describe(image, regions_of(objects, len(classes)))
            svms.add(truth, np.eye(count, dtype=bool)[classes], np.zeros((len(classes), count), bool))
            if refining is not None:
                refining.add(proposals, features, objects, classes, overlap, runner.see(image))
        if progress is not None:
            progress(done)
    if len(svms.unseen) == len(labels):
        raise DataError(f"{spec.root}: no training image shows an object of a class, so there is nothing to learn")
    svms.finish()
    if refining is not None:
        refining.finish()
    parts.svm_weight.copy_(torch.from_numpy(svms.weight))
    parts.svm_bias.copy_(torch.from_numpy(svms.bias))
    parts.fallback.fill_(int(pixels.argmax()))
    why = {"no training image shows": svms.unseen, "every region of the training images shows": svms.only_seen}
    names = {text: [spec.classes.names[label] for label in found] for text, found in why.items()}
    return [f"{text} {first_few(some)}, so no pixel will be called that" for text, some in names.items() if some]


def objects_of(annotation: AnnotationSource, labels: np.ndarray, classes: ClassSet) -> tuple[np.ndarray, list[int]]:
    """The objects of an image: their numbers from 1, int32 ``[height, width]``, and the class of each.

    As annotated, where the annotation keeps objects apart; else connected parts of a class, so that touching objects
    are one. Crowds and what has less than :data:`SMALLEST` pixels are left out.
    """
    objects, found = np.zeros(labels.shape, np.int32), []
    for instance in true_instances(annotation, labels, classes):
        mask = instance.mask & (labels == instance.label) & (objects == 0)
        if instance.crowd or instance.label == classes.background or mask.sum() < SMALLEST:
            continue
        found.append(instance.label)
        objects[mask] = len(found)
    return objects, found


def overlaps(proposals: Proposals, objects: np.ndarray, count: int, known: np.ndarray) -> np.ndarray:
    """The IoU of each region with each object, over the pixels that are labelled; float64 ``[regions, count]``."""
    counts = proposals.counts(np.where(known, objects, -1), count + 1)
    shared, areas = counts[:, 1:], np.bincount(objects[known], minlength=count + 1)[1:]
    return shared / np.maximum(counts.sum(1)[:, None] + areas - shared, 1)


def box_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The IoU of each box with each other one, float64 ``[len(boxes), len(others)]``."""
    return np.asarray(box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).double().numpy())


def examples(overlap: np.ndarray, classes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which regions are positives and negatives of each class, two bool ``[regions, count]``.

    Args:
        overlap: float ``[regions, objects]``.
        classes: of the objects.
    """
    positive = np.zeros((len(overlap), count), bool)
    highest = np.zeros((len(overlap), count))
    for number, label in enumerate(classes):
        np.maximum(highest[:, label], overlap[:, number], out=highest[:, label])
        best = int(overlap[:, number].argmax())
        positive[best, label] |= overlap[best, number] >= POSITIVE
    return positive, (highest < NEGATIVE) & ~positive
