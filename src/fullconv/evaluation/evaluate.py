"""Scores of a model on a data set: one int64 confusion matrix at full image resolution."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fullconv.crf import CRF
from fullconv.data import Batch, DatasetSpec, EvalData, Item
from fullconv.data.dataset import refuse_without_label_maps
from fullconv.data.instances import count_without_instances
from fullconv.data.loader import EvalBatches
from fullconv.evaluation.closer import Closer
from fullconv.evaluation.detail import DetailCounts
from fullconv.evaluation.findings import Counts, findings
from fullconv.evaluation.log_findings import log_beside, log_findings
from fullconv.evaluation.mask_ap import judged, mask_ap
from fullconv.evaluation.matching import by_position, other_range, with_classes_of
from fullconv.evaluation.measure import batch_size, measure
from fullconv.evaluation.metrics import ImageScore, Scores
from fullconv.evaluation.pictures import WORST, refuse_file, write_pictures
from fullconv.evaluation.report import Again, origin_of, write_images, write_report
from fullconv.evaluation.road import RoadCounts, road_counts
from fullconv.evaluation.short import all_seen, longer_first
from fullconv.formats.open import open_dataset
from fullconv.machine import default_workers
from fullconv.pretrained import load
from fullconv.processes import refuse_unguarded
from fullconv.refinement import Refinement, Superpixels
from fullconv.regions.instances import InstanceSegmenter, finds_instances
from fullconv.resizing import Sizes
from fullconv.segmenter import Segmenter
from fullconv.there import refuse_folders
from fullconv.tiling import TILE
from fullconv.views import Views
from fullconv.weak.annotated import has_mask


def evaluate(
    model: Segmenter | str | os.PathLike[str],
    data: str | os.PathLike[str] | DatasetSpec,
    split: str = "val",
    *,
    restrict: bool = False,
    views: Views | None = None,
    image_prior: bool = False,
    superpixels: Superpixels | None = None,
    crf: CRF | None = None,
    tile: int = TILE,
    overlap: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    workers: int | None = None,
    pictures: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    per_image: str | os.PathLike[str] | None = None,
    detail: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a model on one split, at each image's own size: the label maps that ``predict`` writes, against the truth.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        data: whatever :func:`fullconv.open_dataset` takes. Its classes are found by name among the model's.
        split: ``val``, ``train``, ...
        restrict: choose the class of a pixel among those that the data set labels, and ask the loss about them only.
            By default a pixel predicted as another class is an error, as it would be in a mask file.
        views: average over them, as for :meth:`Segmenter.with_views`; the loss is that of the mean.
        image_prior, superpixels, crf: refine every label map, as for :meth:`Segmenter.predict`; the loss remains that
            of the network alone.
        tile, overlap: as for :meth:`Segmenter.predict`.
        device, precision, runner: as for :meth:`Segmenter.load`; a :class:`Segmenter` stays where it is.
        workers: reading processes; by default by the number of cores.
        pictures: a folder for ``confusion.png`` and ``worst.png``, the worst images beside truth, prediction and
            errors (:mod:`fullconv.evaluation.pictures`); none by default.
        report: an HTML page to write: scores with intervals and definitions, findings, confusion, calibration,
            boundaries, images; of a model file or run folder its configuration and curves too. The scores then have
            :attr:`Scores.detail`.
        per_image: a CSV table to write, a line for each image; with detail as for ``report``.
        detail: look at boundaries, calibration and every image without either.
        progress: called after each batch with the number of images done and of all.

    Raises:
        DataError: the split is missing, its classes are not the model's, or a file is bad.
        NotFiniteError: the network's scores of an image are nan or infinite.
    """
    refuse_unguarded()
    if pictures is not None:
        refuse_file(pictures)
    refuse_folders(report, per_image)
    segmenter = model if isinstance(model, Segmenter) else load(model, device, precision, runner)
    finding = finds_instances(segmenter)
    segmenter = segmenter.with_views(views or Views())
    segmenter.check_tiles(tile, overlap)
    refinement = Refinement.of(segmenter.provenance, image_prior, superpixels, crf)
    spec = open_dataset(data)
    refuse_without_label_maps(spec, split)
    notes = [by_position(segmenter, spec), other_range(segmenter, spec)]
    notes.append(f"the mean of {views}" if views else "")
    notes.append(f"after {refinement}; the loss is the network's own" if refinement else "")
    spec = with_classes_of(segmenter, spec)
    batches = EvalBatches(
        EvalData(spec, spec.split(split)), batch_size(segmenter.device), default_workers(workers),
        pin_memory=segmenter.device.type == "cuda",
    )  # fmt: skip
    scoring = InstanceSegmenter(segmenter) if finding and not views else segmenter
    closer, items = Closer(spec.classes), spec.split(split)
    details = DetailCounts(spec.classes) if detail or report is not None or per_image is not None else None
    road = road_counts(spec)
    notes += [road] if isinstance(road, str) else []
    sure = _each(watch for watch in (details, road) if isinstance(watch, (DetailCounts, RoadCounts)))
    told = None if progress is None else lambda done: progress(done, len(items))
    sizes: Sizes = Counter()
    counted = _sized(batches, sizes)
    measured = measure(scoring, spec, counted, told, refinement, restrict, restrict, tile, overlap, closer, sure)
    log = [] if isinstance(model, Segmenter) else log_beside(model)
    options = segmenter.provenance.get("options", {})
    of_training = log_findings(log, "labels" in segmenter.provenance, options)
    scores = _looked_at(measured.scores(), closer, items, measured.void, segmenter.provenance, len(log), pictures)
    scores = dataclasses.replace(scores, findings=(*of_training, *scores.findings))
    if isinstance(road, RoadCounts):
        scores = dataclasses.replace(scores, road=road.scores())
    if isinstance(scoring, InstanceSegmenter):
        bare = count_without_instances(items)
        notes.append(_no_mask_ap(bare, len(items)) if bare else "")
        if not bare:
            scores = dataclasses.replace(scores, masks=mask_ap(judged(spec, items, scoring.found), spec.classes))
    elif finding:
        notes.append("no mask AP: objects are not averaged over views")
    notes += [_without_masks(items), segmenter.resize_note(sizes)]
    scores = dataclasses.replace(scores, notes=(*filter(None, notes), *scores.notes))
    if details is not None:
        known = [name not in scores.unlabelled for name in spec.classes.names]
        scores = dataclasses.replace(scores, detail=details.detail(scores.confusion.tolist(), known))
    if pictures is not None:
        write_pictures(pictures, scores, spec, items, closer.worst)
    if per_image is not None:
        write_images(per_image, scores, items)
    if report is not None:
        again = Again(segmenter, spec, items, refinement, tile, overlap, restrict)
        write_report(report, scores, closer.worst, again, origin_of(model, segmenter, spec, split))
    return scores


def _each(
    watching: Iterable[DetailCounts | RoadCounts],
) -> Callable[[Batch, Tensor, list[Tensor], Tensor], None] | None:
    """All of them at once; None without any, which spares the work that they need."""
    every = list(watching)

    def tell(batch: Batch, labels: Tensor, images: list[Tensor], sure: Tensor) -> None:
        for watch in every:
            watch(batch, labels, images, sure)

    return tell if every else None


def _sized(batches: Iterable[Batch], sizes: Sizes) -> Iterator[Batch]:
    """The batches as they are, whose images are counted by size."""
    for batch in batches:
        sizes[batch.labels.shape[1], batch.labels.shape[2]] += len(batch.ids)
        yield batch


def _no_mask_ap(bare: int, images: int) -> str:
    return (
        f"no mask AP: {bare} of {images} images have masks of classes, which do not say where one object ends and the "
        "next begins"
    )


def _looked_at(
    scores: Scores, closer: Closer, items: Sequence[Item], void: int, provenance: Mapping[str, Any], epochs: int,
    pictures: str | os.PathLike[str] | None,
) -> Scores:  # fmt: skip
    """Scores with the worst images and with what goes wrong; ``epochs`` of the run are known, or 0."""
    where = {(item.source, item.id): str(item.image.where) for item in items}
    worst = tuple(ImageScore(entry.key[1], where[entry.key], entry.mean_iou) for entry in closer.worst)
    names = scores.classes.names
    counts = Counts(
        names, scores.confusion.tolist(), [name not in scores.unlabelled for name in names], closer.presence.tolist(),
        scores.images, closer.thin.tolist(), closer.stride, void, closer.shift,
        provenance.get("options", {}), provenance.get("not_in_train", ()), all_seen(provenance),
        **({} if pictures is None else {"pictures": str(Path(pictures) / WORST)}),
    )  # fmt: skip
    return dataclasses.replace(scores, worst=worst, findings=longer_first(findings(counts), provenance, epochs))


def _without_masks(items: Sequence[Item]) -> str:
    """Where the truth is no mask, but what a tool fills; else empty."""
    bare = sum(not has_mask(item.annotation) for item in items)
    if not bare:
        return ""
    return (
        f"{bare} of {len(items)} images have no mask: scored against the boxes, lines and points that their tool fills"
    )
