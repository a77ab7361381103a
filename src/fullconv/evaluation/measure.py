"""Counts and losses of a network over batches: what ``evaluate`` and training's validation share."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from fullconv.data import Batch, DatasetSpec
from fullconv.errors import NotFiniteError, first_few
from fullconv.evaluation.findings import Counts, findings
from fullconv.evaluation.intervals import bootstrap, means
from fullconv.evaluation.metrics import ConfusionMatrix, Scores
from fullconv.evaluation.numbers import number
from fullconv.evaluation.short import all_seen, longer_first
from fullconv.ops import upsample_argmax, upsample_cross_entropy
from fullconv.ops.partial import mask_unlabelled_classes, unlabelled
from fullconv.parts import Part, refined, sound
from fullconv.refinement import Refinement
from fullconv.segmenter import Segmenter
from fullconv.streams import count, in_streams, most_pixels
from fullconv.tiling import TILE


@dataclass
class Measured:
    """What adds up over images, ranks and machines.

    Attributes:
        matrix: counts of (true, predicted) pixels.
        outside: int64 ``[classes]``: labelled pixels predicted as a class that their image's data set does not label.
        labelled: whether any part of the data labels the class; None: all of them, in every image.
        restricted: whether each image was asked about its own data set's classes only.
        seams: the segmenter's note on tiles, where there were any.
        by_image: int64 ``[3, classes]`` of each image, by data set (of a mixture) and id: pixels labelled rightly, of
            the truth, predicted.
        void: pixels without a label.
    """

    matrix: ConfusionMatrix
    outside: torch.Tensor
    labelled: tuple[tuple[bool, ...], ...] | None = None
    restricted: bool = False
    loss_sum: float = 0.0
    loss_pixels: int = 0
    images: int = 0
    seams: str = ""
    by_image: dict[tuple[int, str], torch.Tensor] = field(default_factory=dict)
    void: int = 0

    def image_scores(self) -> dict[tuple[int, str], float]:
        """The mean IoU in each image; nan where it has no labelled pixel."""
        return {key: float(means(counts.numpy())["mean_iou"]) for key, counts in self.by_image.items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of each mean score, 95 % by the bootstrap over images; nothing counts of unlabelled classes."""
        counts = torch.stack(list(self.by_image.values())).numpy()
        if self.labelled is not None:
            counts[:, 2, ~np.any(self.labelled, axis=0)] = 0
        return bootstrap(counts)

    def scores(self) -> Scores:
        """Of what was counted; without a labelled pixel every one of them, the loss too, is nan."""
        known = None if self.labelled is None else [any(parts) for parts in zip(*self.labelled, strict=True)]
        loss = self.loss_sum / self.loss_pixels if self.loss_pixels else math.nan
        outside = tuple(self.outside.tolist())
        return self.matrix.scores(
            loss, self.images, known, outside=outside, notes=(*self._notes(outside), *filter(None, [self.seams]))
        )

    def report(self, notes: Sequence[str] = (), provenance: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a run keeps of its validation: scores, their intervals, and what goes wrong as far as counts say it.

        Args:
            notes: about all scores.
            provenance: of the model, where it counts what it was trained with.
        """
        provenance = provenance or {}
        void = 0 if "scored_against" in provenance else self.void  # beside strokes and points all else is void
        scores = self.scores()
        scores = dataclasses.replace(scores, notes=(*scores.notes, *notes))
        names = scores.classes.names
        shown = torch.stack([counts[1] > 0 for counts in self.by_image.values()]).sum(0).tolist()
        counts = Counts(
            names, scores.confusion.tolist(), [name not in scores.unlabelled for name in names], shown, self.images,
            [0] * len(names), 1, void, options=provenance.get("options", {}),
            unlearned=provenance.get("not_in_train", ()), learned=all_seen(provenance),
        )  # fmt: skip
        scores = dataclasses.replace(scores, findings=longer_first(findings(counts), provenance))
        bounds = {name: [number(low), number(high)] for name, (low, high) in self.intervals().items()}
        return {**scores.to_dict(), "intervals": bounds}

    def _notes(self, outside: tuple[int, ...]) -> tuple[str, ...]:
        """How classes that the data do not label were treated; nothing where all are labelled everywhere."""
        if self.labelled is None or all(map(all, self.labelled)):
            return ()
        if self.restricted:
            return (
                "restricted: the class of each pixel was chosen among those that its data set labels; the masks that "
                "predict writes may show others",
            )
        named = [f"{name} {n:,}" for name, n in zip(self.matrix.classes.names, outside, strict=True) if n]
        total = int(self.matrix.counts.sum())
        share = f"{sum(outside):,} of {total:,} labelled pixels ({sum(outside) / max(total, 1):.2%})"
        if not named:
            return ("no labelled pixel is predicted as a class that its data set does not label",)
        return (
            f"{share} are predicted as a class that their data set does not label, and count as errors: "
            f"{first_few(named, 25)}; with restrict such classes are not chosen",
        )


@torch.inference_mode()
def measure(
    segmenter: Segmenter,
    spec: DatasetSpec,
    batches: Iterable[Batch],
    progress: Callable[[int], None] | None = None,
    refinement: Refinement | None = None,
    restrict: bool = False,
    partial_loss: bool = False,
    tile: int = TILE,
    overlap: int | None = None,
    watch: Callable[[Batch, torch.Tensor, list[ConfusionMatrix], float], None] | None = None,
    watch_confidence: Callable[[Batch, torch.Tensor, list[torch.Tensor], torch.Tensor], None] | None = None,
) -> Measured:
    """Counts and summed loss over ``batches`` of ``spec``; ``progress`` may raise to stop early.

    ``restrict``: labels, and ``partial_loss``: the loss, are among the classes that an image's data set labels, as
    training's own loss is. ``watch`` gets each batch, its label maps, the counts of its images, and how many pixels lie
    between two places of its coarse logits; ``watch_confidence`` gets instead of the last the probability of each
    pixel's class, which takes a little longer.

    Raises:
        NotFiniteError: logits or losses are nan or infinite.
    """
    device = segmenter.device
    matrix = ConfusionMatrix(spec.classes, device)
    result = Measured(matrix, torch.zeros(len(spec.classes), dtype=torch.int64, device=device), spec.labelled, restrict)
    settings = _Settings(refinement, restrict, partial_loss, tile, overlap, watch_confidence is not None)

    def fits(batch: Batch, room: int) -> bool:
        size = (batch.labels.shape[1], batch.labels.shape[2])
        whole = max(size) <= tile or segmenter.preprocessing.resize is not None
        return whole and not refinement and len(batch.ids) * most_pixels(segmenter.preprocessing, size) <= room

    computed = in_streams(
        batches, count(segmenter.runner), fits, functools.partial(_by_any_thread, segmenter, spec, settings)
    )
    with closing(computed):
        for batch, found in computed:
            _add(result, batch, found or _by_all_threads(segmenter, spec, settings, batch), watch, watch_confidence)
            if progress is not None:
                progress(result.images)
    return result


class _Settings(NamedTuple):
    """Of :func:`measure`, which says what they are."""

    refinement: Refinement | None
    restrict: bool
    partial_loss: bool
    tile: int
    overlap: int | None
    sure: bool


class _Found(NamedTuple):
    """Of one batch: label maps, their probabilities where they are watched, each image's counts, pixels predicted as a
    class that their image's data set does not label, summed loss, and how many pixels lie between two places of the
    coarse logits."""

    labels: torch.Tensor
    sure: torch.Tensor | None
    images: list[ConfusionMatrix]
    outside: torch.Tensor | None
    loss: float
    stride: float
    seams: str


@torch.inference_mode()
def _by_any_thread(segmenter: Segmenter, spec: DatasetSpec, settings: _Settings, batch: Batch) -> _Found | None:
    """None where logits are not finite: to say why, no other thread may compute."""
    parts = list(segmenter.parts(batch.pixels, settings.tile, settings.overlap))
    if not all(bool(part.logits.isfinite().all()) for part in parts):
        return None
    return _found(segmenter, spec, settings, batch, parts)


def _by_all_threads(segmenter: Segmenter, spec: DatasetSpec, settings: _Settings, batch: Batch) -> _Found:
    again = functools.partial(segmenter.parts, batch.pixels, settings.tile, settings.overlap)
    return _found(segmenter, spec, settings, batch, sound(again, segmenter.runner, batch.ids))


def _found(segmenter: Segmenter, spec: DatasetSpec, settings: _Settings, batch: Batch, parts: Iterable[Part]) -> _Found:
    """Raises:
    NotFiniteError: the loss is nan or infinite.
    """
    device, size = segmenter.device, (batch.labels.shape[1], batch.labels.shape[2])
    target = batch.labels.to(device, non_blocking=True)
    images = [ConfusionMatrix(spec.classes, device) for _ in batch.ids]
    labels, stride, loss = torch.empty_like(target), 1.0, 0.0
    sure = torch.empty(target.shape, device=device) if settings.sure else None
    if settings.restrict:
        parts = (_asked(part, spec, batch) for part in parts)
    if settings.refinement:
        parts = list(parts)
        better = refined(parts, batch.pixels, len(spec.classes), settings.refinement)
        for number, likely in enumerate(better):
            labels[number] = torch.from_numpy(likely.argmax(0))
            if sure is not None:
                sure[number] = torch.from_numpy(likely.max(0))
    for part in parts:
        stride = part.window.height / part.logits.shape[2]
        where = np.s_[:, part.rows, part.columns]
        if not settings.refinement and sure is not None:
            labels[where], sure[where] = upsample_argmax(part.logits, part.size, crop=part.window, confidence=True)
        elif not settings.refinement:
            labels[where] = upsample_argmax(part.logits, part.size, crop=part.window)
        asked = _asked(part, spec, batch) if settings.partial_loss and not settings.restrict else part
        loss += _loss(asked, target[where], spec.classes.ignore_index)
    if not math.isfinite(loss):
        raise NotFiniteError(f"{first_few(batch.ids)}: the loss is {loss}; use --precision fp32")
    for image, predicted, true in zip(images, labels, target, strict=True):
        image.update(predicted, true)
    outside = None
    if spec.labelled is not None:
        outside = _outside(labels, target, spec, unlabelled(spec.labelled, batch.sources, device))
    seams = segmenter.seam_note(size, settings.tile, settings.overlap)
    return _Found(labels, sure, images, outside, loss, stride, seams)


def _add(
    result: Measured, batch: Batch, found: _Found,
    watch: Callable[[Batch, torch.Tensor, list[ConfusionMatrix], float], None] | None,
    watch_confidence: Callable[[Batch, torch.Tensor, list[torch.Tensor], torch.Tensor], None] | None,
) -> None:  # fmt: skip
    result.seams = found.seams or result.seams
    result.loss_sum += found.loss
    if watch is not None:
        watch(batch, found.labels, found.images, found.stride)
    if watch_confidence is not None and found.sure is not None:
        watch_confidence(batch, found.labels, [image.counts for image in found.images], found.sure)
    for source, name, image in zip(batch.sources, batch.ids, found.images, strict=True):
        result.matrix.merge(image)
        counts = image.counts
        result.by_image[source, name] = torch.stack((counts.diagonal(), counts.sum(1), counts.sum(0))).cpu()
    if found.outside is not None:
        result.outside += found.outside
    void = int((batch.labels == result.matrix.classes.ignore_index).sum())
    result.void += void
    result.loss_pixels += batch.labels.numel() - void
    result.images += len(batch.ids)


def _loss(part: Part, truth: torch.Tensor, ignore: int) -> float:
    """The summed cross-entropy of a part's labelled pixels."""
    return float(upsample_cross_entropy(part.logits, truth, ignore_index=ignore, crop=part.window, reduction="sum"))


def batch_size(device: torch.device) -> int:
    """Images at a time. One on a CPU: it is as fast there, and rounding is then that of ``predict``."""
    return 8 if device.type == "cuda" else 1


def _asked(part: Part, spec: DatasetSpec, batch: Batch) -> Part:
    return part._replace(logits=mask_unlabelled_classes(part.logits, spec.labelled, batch.sources))


def _outside(prediction: torch.Tensor, truth: torch.Tensor, spec: DatasetSpec, unknown: torch.Tensor) -> torch.Tensor:
    """int64 ``[classes]``: labelled pixels predicted as a class of ``unknown [n, classes]``."""
    found = unknown.gather(1, prediction.flatten(1).long()) & (truth != spec.classes.ignore_index).flatten(1)
    return torch.bincount(prediction.flatten().long()[found.flatten()], minlength=len(spec.classes))
