"""Images through the network, one batch after the other: what is kept of them is small, whatever their number."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from fullconv.data import Batch, DatasetSpec, EvalData, Item
from fullconv.data.loader import EvalBatches
from fullconv.evaluation.measure import batch_size
from fullconv.ops import pixel_cross_entropy, upsample_argmax, upsample_entropy
from fullconv.ops.partial import mask_unlabelled_classes
from fullconv.parts import Part, sound
from fullconv.reviewing.choose import Sums
from fullconv.reviewing.doubt import Doubts, Seen
from fullconv.reviewing.regions import judged
from fullconv.segmenter import Segmenter
from fullconv.spec import Values

KEPT = 24
"""Predictions of so many images, those with the most doubtful places, are kept to be shown."""
Told = Callable[[], None]
"""Called after each image."""


@dataclass
class Masked:
    """What is known of the images that have a mask.

    Attributes:
        doubts: their regions.
        features: what each shows (:func:`fullconv.reviewing.choose.Sums`), where that is wanted.
        kept: label maps predicted for some of them, by number.
    """

    doubts: Doubts
    features: list[np.ndarray] = field(default_factory=list)
    kept: dict[int, np.ndarray] = field(default_factory=dict)
    _scores: dict[int, float] = field(default_factory=dict)

    def keep(self, number: int, predicted: np.ndarray, score: float) -> None:
        """Keep a prediction as long as it is one of the most doubtful."""
        if score <= 0:
            return
        self.kept[number], self._scores[number] = predicted, score
        if len(self.kept) > KEPT:
            least = min(self._scores, key=self._scores.__getitem__)
            del self.kept[least], self._scores[least]


class _Maps(NamedTuple):
    """Of a batch: labels predicted, their probability, ``-log`` of that of the mask's label, what images show."""

    predicted: np.ndarray
    sure: np.ndarray
    losses: np.ndarray
    features: np.ndarray | None


@torch.inference_mode()
def look_at_masks(
    segmenter: Segmenter, spec: DatasetSpec, items: Sequence[Item], workers: int, with_features: bool, told: Told
) -> Masked:
    """Judge every mask.

    Raises:
        DataError: a file that cannot be read.
        NotFiniteError: the network's scores of an image are nan or infinite.
    """
    classes, ignore = len(spec.classes), spec.classes.ignore_index
    result = Masked(Doubts(classes))
    batches: Iterable[Batch] = EvalBatches(
        EvalData(spec, items), batch_size(segmenter.device), workers, pin_memory=segmenter.device.type == "cuda"
    )
    number = 0
    for batch in batches if items else ():
        maps = _maps(segmenter, spec, batch, with_features)
        masks = batch.labels.numpy()
        for place, mask in enumerate(masks):
            losses, predicted = maps.losses[place], maps.predicted[place]
            regions = judged(mask, losses, predicted, maps.sure[place], classes, ignore)
            pixels = int((mask != ignore).sum())
            score = result.doubts.add(regions, Seen(float(losses.sum()) / max(pixels, 1), pixels))
            result.keep(number, predicted, score)
            number += 1
            told()
        if maps.features is not None:
            result.features += list(maps.features)
    return result


def _maps(segmenter: Segmenter, spec: DatasetSpec, batch: Batch, with_features: bool) -> _Maps:
    target = batch.labels.to(segmenter.device, non_blocking=True)
    predicted, sure = torch.empty_like(target), torch.empty(target.shape, device=target.device)
    losses = torch.empty_like(sure)
    size = (target.shape[1], target.shape[2])
    shows = Sums(size)
    for part in _parts(segmenter, batch.pixels, batch.ids):
        asked = part._replace(logits=mask_unlabelled_classes(part.logits, spec.labelled, batch.sources))
        where = np.s_[:, part.rows, part.columns]
        predicted[where], sure[where] = upsample_argmax(asked.logits, part.size, crop=part.window, confidence=True)
        losses[where] = pixel_cross_entropy(
            asked.logits, target[where], ignore_index=spec.classes.ignore_index, crop=part.window
        )
        if with_features:
            shows.add(part)
    features = shows.described().numpy() if with_features else None
    return _Maps(predicted.cpu().numpy(), sure.cpu().numpy(), losses.cpu().numpy(), features)


class Undecided(NamedTuple):
    """Of images without a mask: how undecided the model is, ``[n]``; what each shows, ``[n, d]``."""

    entropy: np.ndarray
    features: np.ndarray


@torch.inference_mode()
def look_at_images(segmenter: Segmenter, spec: DatasetSpec, items: Sequence[Item], told: Told) -> Undecided:
    """Look at every image without a mask.

    Raises:
        DataError, NotFiniteError: as :func:`look_at_masks`.
    """
    entropy, features = list[float](), list[np.ndarray]()
    for item in items:
        pixels = torch.from_numpy(pixels_of(segmenter, spec, item)).permute(2, 0, 1)[None]
        size, total = (pixels.shape[2], pixels.shape[3]), 0.0
        shows = Sums(size)
        for part in _parts(segmenter, pixels, [str(item.image.where)]):
            total += float(upsample_entropy(part.logits, part.size, crop=part.window).sum(dtype=torch.float64))
            shows.add(part)
        entropy.append(total / (size[0] * size[1]))
        features.append(shows.described().numpy()[0])
        told()
    return Undecided(np.array(entropy), np.array(features))


def pixels_of(segmenter: Segmenter, spec: DatasetSpec, item: Item) -> np.ndarray:
    """An item's image as the network sees it, ``[height, width, channels]``.

    Raises:
        DataError: it cannot be read.
    """
    values = spec.values or Values(fill=segmenter.preprocessing.fill)
    return np.require(item.image.read(spec.channels, 1, values).image, requirements=["C", "W"])


def _parts(segmenter: Segmenter, pixels: torch.Tensor, names: Sequence[str]) -> Iterator[Part]:
    return sound(functools.partial(segmenter.parts, pixels), segmenter.runner, names)
