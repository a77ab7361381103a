"""Scores of a model on a data set: one int64 confusion matrix at full image resolution."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from fullconv.data import Batch, DatasetSpec, EvalData, Item, open_dataset
from fullconv.data.loader import eval_batches
from fullconv.data.mixing import renamed
from fullconv.errors import DataError, NotFiniteError, first_few
from fullconv.metrics import ConfusionMatrix, Scores
from fullconv.ops import upsample_argmax, upsample_cross_entropy
from fullconv.pretrained import load
from fullconv.refine import CRF, dense_crf
from fullconv.segmenter import Part, Segmenter
from fullconv.training.loss import asked_only


@dataclass
class Measured:
    """What adds up over images, ranks and machines."""

    matrix: ConfusionMatrix
    loss_sum: float = 0.0
    loss_pixels: int = 0
    images: int = 0

    def scores(self) -> Scores:
        """Of what was counted; without a labelled pixel every one of them, the loss too, is nan."""
        loss = self.loss_sum / self.loss_pixels if self.loss_pixels else math.nan
        return self.matrix.scores(loss, self.images)


def evaluate(
    model: Segmenter | str | os.PathLike[str],
    data: str | os.PathLike[str] | DatasetSpec,
    split: str = "val",
    *,
    crf: CRF | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Score a model on one split, at each image's own size.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        data: whatever :func:`fullconv.data.open_dataset` takes.
        split: ``val``, ``train``, ...
        crf: refine every label map with a fully connected CRF; the loss remains that of the network alone.
        workers: reading processes; by default by the number of cores.
        progress: called with the number of images done after each batch.

    Raises:
        DataError: the split is missing, its classes are not the model's, or a file is bad.
        NotFiniteError: the network's scores of an image are nan or infinite.
    """
    segmenter = model if isinstance(model, Segmenter) else load(model)
    spec = with_classes_of(segmenter, open_dataset(data))
    return measure(segmenter, spec, spec.split(split), default_workers(workers), progress, crf).scores()


def with_classes_of(segmenter: Segmenter, spec: DatasetSpec) -> DatasetSpec:
    """The data set read with the model's classes and channels.

    Raises:
        DataError: it has a class that the model does not know.
    """
    if spec.shapes is None:
        spec = dataclasses.replace(spec, channels=segmenter.preprocessing.channels)
    elif segmenter.preprocessing.channels != spec.channels:
        raise DataError(f"shapes has 3 channels, the model takes {segmenter.preprocessing.channels}; use its own data")
    if spec.classes.names == segmenter.classes.names:
        return spec
    if not spec.declared and len(spec.classes) <= len(segmenter.classes):
        return dataclasses.replace(spec, classes=segmenter.classes)
    by_name = renamed(spec, segmenter.classes)
    if by_name is not None:
        return by_name
    ours, theirs = segmenter.classes.names, spec.classes.names
    raise DataError(
        f"{spec.root}: has {len(theirs)} classes ({first_few(list(theirs))}), the model knows {len(ours)} "
        f"({first_few(list(ours))}); evaluate on data whose classes, by name, are among the model's"
    )


@torch.inference_mode()
def measure(
    segmenter: Segmenter,
    spec: DatasetSpec,
    items: Sequence[Item],
    workers: int,
    progress: Callable[[int], None] | None = None,
    crf: CRF | None = None,
) -> Measured:
    """Counts and summed loss over items; ``progress`` may raise to stop early.

    Raises:
        NotFiniteError: logits or losses are nan or infinite.
    """
    device = segmenter.device
    ignore = spec.classes.ignore_index
    result = Measured(ConfusionMatrix(spec.classes, device))
    batch_size = 8 if device.type == "cuda" else 2
    for batch in eval_batches(EvalData(spec, items), batch_size, workers):
        target = batch.labels.to(device)
        parts: Iterable[Part] = (
            part._replace(logits=asked_only(part.logits, spec.labelled, batch.sources))
            for part in _sound_parts(segmenter, batch)
        )
        if crf is not None:
            parts = list(parts)
            result.matrix.update(_refined(segmenter, parts, batch, crf).to(device), target)
        for part in parts:
            truth = target[:, part.rows, part.columns]
            if crf is None:
                result.matrix.update(upsample_argmax(part.logits, part.size, crop=part.window), truth)
            loss = upsample_cross_entropy(part.logits, truth, ignore_index=ignore, crop=part.window, reduction="sum")
            result.loss_sum += float(loss)
            if not math.isfinite(result.loss_sum):
                raise NotFiniteError(f"{first_few(batch.ids)}: the loss is {float(loss)}; use --precision fp32")
            result.loss_pixels += int((truth != ignore).sum())
        result.images += len(batch.ids)
        if progress is not None:
            progress(result.images)
    return result


def _sound_parts(segmenter: Segmenter, batch: Batch) -> Iterator[Part]:
    """The parts of a batch, refused where their logits are not finite: argmax would make labels of them."""
    for part in segmenter.parts(batch.pixels):
        finite = part.logits.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            bad = [name for name, good in zip(batch.ids, finite.tolist(), strict=True) if not good]
            raise segmenter.not_finite_error(bad, lambda: list(segmenter.parts(batch.pixels)))
        yield part


def _refined(segmenter: Segmenter, parts: Iterable[Part], batch: Batch, crf: CRF) -> torch.Tensor:
    """The label maps ``n H W`` of a batch after the CRF."""
    height, width = batch.labels.shape[1:]
    chances = segmenter.probabilities(parts, len(batch.ids), (height, width)).numpy()
    images = batch.pixels.permute(0, 2, 3, 1).numpy()
    pairs = zip(chances, images, strict=True)
    return torch.stack([torch.from_numpy(dense_crf(some, image, crf).argmax(0)) for some, image in pairs])


def default_workers(workers: int | None) -> int:
    """One reading process per core beyond the first, at most 8."""
    if workers is not None:
        return workers
    return min(8, max(1, (os.cpu_count() or 2) - 1))
