"""``pseudo-label``: a data set to train on, whose images without a mask have the labels that a model gives them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.crf import CRF, dense_crf
from fullconv.data.dataset import DatasetSpec
from fullconv.data.sample import Sample, read_sample
from fullconv.errors import UsageError, plural
from fullconv.files import new_folder, write_text
from fullconv.formats.origin import PROVENANCE
from fullconv.formats.write import TARGETS, free_name
from fullconv.formats.write.base import Writer
from fullconv.prediction.known import held
from fullconv.prediction.provenance import provenance_of
from fullconv.prediction.unmasked import Task, opened, refuse_partly_labelled, tasks_of
from fullconv.pretrained import load
from fullconv.refinement import Refinement, Superpixels
from fullconv.regions.segmenter import RegionSegmenter
from fullconv.segmenter import Segmenter
from fullconv.spec import Values
from fullconv.there import refuse_existing
from fullconv.weak.sight import Labels

CONFIDENCE = 0.5


@dataclass
class PseudoLabelled:
    """What :func:`pseudo_label` did.

    Attributes:
        out: the new data set.
        predicted, kept: images with labels of the model, and with masks of their own.
        held_to: images whose labels were held to annotations, by their kind.
        pixels, void: predicted ones, and those of them that are void.
        source: the data, in a line.
        reasons: how they were read; one line each.
        notes: every rule applied; one line each.
    """

    out: Path
    predicted: int = 0
    kept: int = 0
    held_to: Counter[str] = field(default_factory=Counter)
    pixels: int = 0
    void: int = 0
    source: str = ""
    reasons: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, Any]]:
        """JSON-ready."""
        return {
            "images": {"predicted": self.predicted, "own_masks": self.kept, "held_to": dict(self.held_to)},
            "pixels": {"predicted": self.pixels, "void": self.void},
        }

    def lines(self) -> list[str]:
        """What was done, in a line or two."""
        held_to = "".join(f", {count} of them held to their {kind}" for kind, count in self.held_to.items())
        keep = "keeps its mask" if self.kept == 1 else "keep their masks"
        lines = [f"{self.out}: {plural(self.predicted, 'image')} labelled{held_to}; {self.kept} {keep}"]
        if self.pixels:
            lines.append(f"{self.void / self.pixels:.1%} of the predicted pixels are void")
        return lines


@dataclass(frozen=True)
class _Asked:
    """The settings, as :func:`pseudo_label` has them."""

    labels: Labels
    confidence: float
    image_prior: bool
    superpixels: Superpixels | None
    crf: CRF | None


def pseudo_label(
    model: Segmenter | str | os.PathLike[str],
    data: str | os.PathLike[str] | DatasetSpec,
    out: str | os.PathLike[str],
    *,
    labels: Labels = "auto",
    confidence: float = CONFIDENCE,
    image_prior: bool = False,
    superpixels: Superpixels | None = None,
    crf: CRF | None = None,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> PseudoLabelled:
    """Write a data set of images, masks and lists, in which a model labels the images that have no mask.

    Masks that are there already are copied. Images without one are in train; where no image of val has one there is no
    val, and :func:`fullconv.open_dataset` takes a part of train. ``provenance.json`` says where the labels come from.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        data: whatever :func:`fullconv.open_dataset` takes, and a folder of images and masks in which some or all of the
            masks are missing.
        out: a folder that does not exist; it appears when all of it is written.
        labels: what predictions are held to (:func:`fullconv.prediction.known.held`): ``auto``: the boxes, tags,
            scribbles or points that an image without a mask was annotated with. One of these kinds: it alone; and train
            images with a mask are labelled too, as if they had only what is derived from it.
        confidence: pixels whose class is less probable are void; 0 for none. Of a prediction that is held to something
            the probability among the classes that are left.
        image_prior, superpixels: refine probabilities as :meth:`Segmenter.predict` does, before they are held to
            anything.
        crf: refine with a fully connected CRF, between that and the threshold.
        device, precision, runner: as for :meth:`Segmenter.load`; a :class:`Segmenter` stays where it is.
        progress: called with the number of images done and of all.

    Raises:
        UsageError: ``out`` exists, or options that cannot be, among them a prior of a model that tags did not teach.
        DataError: classes that are not the model's, every image has a mask already, or a file that cannot be read.
        NotFiniteError: the network's scores of an image are nan or infinite.
    """
    out = Path(out)
    refuse_existing(out, "folder for the pseudo-labels")
    if not 0 <= confidence < 1:
        raise UsageError(f"confidence is a probability from 0 to less than 1, found {confidence:g}")
    if labels == "masks":
        raise UsageError("--labels masks: masks are what is made here; give auto, boxes, tags, scribbles or points")
    segmenter = model if isinstance(model, Segmenter) else load(model, device, precision, runner)
    asked = _Asked(labels, confidence, image_prior, superpixels, crf)
    Refinement.of(segmenter.provenance, image_prior)  # refuses a prior that the model has not
    spec, bare = opened(segmenter, data)
    result = PseudoLabelled(out, source=spec.title, reasons=spec.reasons)
    tasks = tasks_of(spec, bare, labels, out, result.notes)
    refuse_partly_labelled(spec, tasks)
    if isinstance(segmenter, RegionSegmenter) and confidence:
        result.notes.append("its scores are margins of SVMs, no probabilities: the confidence is that of their softmax")
    result.kept = sum(task.masked for task in tasks)
    splits = dict.fromkeys(task.split for task in tasks)
    made_of = {split: [task.item for task in tasks if task.split == split] for split in splits}
    target = dataclasses.replace(spec, splits=made_of, labelled=None)
    with new_folder(out) as partial, closing(TARGETS["folder"](target, partial, result.notes)) as writer:
        shares = _write(writer, segmenter, tasks, asked, result, progress)
        content = provenance_of(
            segmenter, model, data, spec, dataclasses.asdict(asked), {**result.counts(), "void_share": shares}
        )
        write_text(partial / PROVENANCE, json.dumps(content, indent=2) + "\n")
    return result


def _write(
    writer: Writer, segmenter: Segmenter, tasks: Sequence[Task], asked: _Asked, result: PseudoLabelled,
    progress: Callable[[int, int], None] | None,
) -> dict[str, float]:  # fmt: skip
    """Write all images and their labels; which share of each mask that was predicted is void."""
    names: dict[str, list[str]] = {task.split: [] for task in tasks}
    spec, shares, taken = writer.spec, dict[str, float](), set[str]()
    for done, task in enumerate(tasks, 1):
        name = free_name(task.item.id, taken)
        taken.add(name)
        sample = read_sample(spec, task.item) if task.masked else _predicted(segmenter, spec, task, asked)
        if not task.masked:
            shares[f"{name}.png"] = _count(sample, task, spec, result)
        writer.add(task.split, name, task.item, sample)
        names[task.split].append(name)
        if progress is not None:
            progress(done, len(tasks))
    writer.finish(names)
    if writer.turned:
        result.notes.append(f"{plural(writer.turned, 'image', 'has')} an EXIF orientation: written upright as PNG")
    return shares


# -- labels -----------------------------------------------------------------------------------------------------------


def _predicted(segmenter: Segmenter, spec: DatasetSpec, task: Task, asked: _Asked) -> Sample:
    """An image with the labels that the model gives it, void where it is not sure."""
    values = spec.values or Values(fill=segmenter.preprocessing.fill)
    pixels, blank = task.item.image.read(spec.channels, 1, values)
    image, ignore = np.asarray(pixels), spec.classes.ignore_index
    first = Refinement.of(segmenter.provenance, asked.image_prior, asked.superpixels)
    seen = segmenter.predict_pixels(image, probabilities=True, refinement=first, name=str(task.item.image.where))
    assert seen.probabilities is not None
    chances, settled = held(seen.probabilities, task.known, ignore)
    if asked.crf is not None:
        chances, settled = held(dense_crf(chances / chances.sum(0), image, asked.crf), task.known, ignore)
    labels = np.where(chances.max(0) < asked.confidence, ignore, chances.argmax(0))
    labels = np.where(settled >= 0, settled, labels)
    if blank is not None:
        labels = np.where(blank, ignore, labels)
    return Sample(task.item.id, image, labels.astype(np.uint8 if ignore <= 255 else np.int32))


def _count(sample: Sample, task: Task, spec: DatasetSpec, result: PseudoLabelled) -> float:
    """Add a predicted image to the result; the share of it that is void."""
    void = int((sample.labels == spec.classes.ignore_index).sum())
    result.predicted += 1
    result.pixels += sample.labels.size
    result.void += void
    if task.known is not None:
        result.held_to[task.known.kind] += 1
    return void / sample.labels.size
