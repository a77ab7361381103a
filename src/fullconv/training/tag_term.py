"""The loss of image tags: what the places of an image say, pooled, should be the classes that it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fullconv.data import Batch
from fullconv.errors import first_few
from fullconv.geometry import Window
from fullconv.ops import place_weights
from fullconv.ops.checks import to_device
from fullconv.ops.partial import mask_unlabelled_classes, unlabelled
from fullconv.refinement.image_level import KEY, ImageLevel
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from fullconv.training.config import TrainConfig
from fullconv.training.ranks import Ranks
from fullconv.weak import Supervised, Supervision

Name = tuple[int, str]
"""Of an image: its data set in a mixture, and its id."""
SMALLEST = 1e-6
"""The probability that a class is not shown is at least this."""


def tag_term(config: TrainConfig, supervision: Supervision, segmenter: Segmenter) -> TagTerm:
    """The term of a data set's tags; the segmenter keeps how scores are pooled, for its image-level probabilities."""
    image_level = ImageLevel(config.tag_pooling, config.tag_pooling_sharpness)
    segmenter.provenance[KEY] = image_level.to_dict()
    tags = {
        (item.source, item.id): item.annotation.tags()
        for item in supervision.spec.split("train")
        if isinstance(item.annotation, Supervised) and item.annotation.kind == "tags"
    }
    return TagTerm(tags, supervision.spec.classes, image_level, config.batch_size, supervision.spec.labelled)


class TagTerm:
    """Binary cross-entropy of the pooled probability of each class (:class:`fullconv.refinement.ImageLevel`).

    Of an image: the mean of ``-log p`` over the classes that it shows, and the mean of ``-log(1 - p)`` over the others.
    A class called background counts as shown in every image. Without such a class an image without a tag teaches
    nothing, as do images that teach with something else. The sum is divided by the size of the batch, so that an image
    counts alike in whatever mix it is.

    Column ``train_tag_precision``: with ``t`` tags in an image (but background), the share of them that is among the
    ``t`` most probable classes (but background); the mean over images with a tag.

    Args:
        tags: of each image that teaches with them.
        classes: of the data.
        image_level: how scores are pooled.
        batch_size: images in a step over all ranks.
        labelled: of a mixture, per data set whether it labels each class: of others nothing is asked.

    Source: Pinheiro & Collobert, "From Image-level to Pixel-level Labeling with Convolutional Networks",
    arXiv:1411.6228, section 3.1. There an image has one class, and raw scores are pooled; docs/less.md says why
    probabilities are here.
    """

    name = "tags"
    figures = ("tag_precision",)

    def __init__(
        self,
        tags: Mapping[Name, frozenset[int]],
        classes: ClassSet,
        image_level: ImageLevel,
        batch_size: int,
        labelled: Sequence[Sequence[bool]] | None = None,
    ) -> None:
        self.tags, self.classes, self.image_level = tags, classes, image_level
        self.batch_size, self.labelled = batch_size, labelled
        self.rows = {name: row for row, name in enumerate(tags)}
        self.measured = torch.zeros(1, 2)

    def opening(self) -> list[str]:
        names, pooling = self.classes.names, self.image_level
        how = "the maximum" if pooling.pooling == "max" else f"log-sum-exp, sharpness {pooling.sharpness:g}"
        counts = [sum(label in shown for shown in self.tags.values()) for label in range(len(names))]
        counted = [
            f"{name} {n}" for label, (name, n) in enumerate(zip(names, counts, strict=True))
            if n and label != self.classes.background
        ]  # fmt: skip
        lines = [f"{len(self.tags)} images teach with tags, pooled by {how}: {first_few(counted, 25) or 'no tag'}"]
        if self.classes.background is not None:
            lines.append(f"  {names[self.classes.background]} counts as shown in every one of them")
        return lines

    def start(self, ranks: Ranks) -> None:
        self.ranks = ranks
        shown = torch.zeros(len(self.tags) + 1, len(self.classes))  # the last: of images that teach otherwise
        for row, tags in enumerate(self.tags.values()):
            shown[row, sorted(tags)] = 1
            if self.classes.background is not None:
                shown[row, self.classes.background] = 1
        self.shown = to_device(shown, ranks.device)
        self.measured = torch.zeros(1, 2, device=ranks.device)

    def loss(self, logits: Tensor, batch: Batch, window: Window, step: int) -> Tensor | None:
        """As :meth:`fullconv.training.terms.Term.loss`."""
        rows = [self.rows.get(name, -1) for name in zip(batch.sources, batch.ids, strict=True)]
        self.measured = torch.zeros_like(self.measured)
        taught = [i for i, row in enumerate(rows) if row >= 0]
        if not taught:
            return None if self.ranks.count == 1 else logits.new_zeros(())
        device, sources = logits.device, [batch.sources[i] for i in taught]
        which = to_device(torch.tensor(taught), device)
        shown = self.shown[to_device(torch.tensor([rows[i] for i in taught]), device)]
        scores = mask_unlabelled_classes(logits.index_select(0, which).float(), self.labelled, sources)
        size, inside = (batch.pixels.shape[-2], batch.pixels.shape[-1]), batch.inside.index_select(0, which)
        log_likely = self.image_level.pool(
            scores, place_weights((scores.shape[2], scores.shape[3]), size, window, inside, scores)
        )
        hidden = 1 - shown
        if self.labelled is not None:
            known = (~unlabelled(self.labelled, sources, device)).to(shown)
            shown, hidden = shown * known, hidden * known
        self.measured = self._precision(log_likely.detach(), shown)[None]
        absent = torch.log(-torch.expm1(log_likely - SMALLEST))
        losses = -_mean(log_likely, shown) - _mean(absent, hidden) * (shown.sum(1) > 0)
        return losses.sum() * self.ranks.count / self.batch_size

    def _precision(self, log_likely: Tensor, shown: Tensor) -> Tensor:
        """The sum of images' precisions and how many have one, ``[2]``."""
        if self.classes.background is not None:
            log_likely, shown = log_likely.clone(), shown.clone()
            log_likely[:, self.classes.background] = -math.inf
            shown[:, self.classes.background] = 0
        tags = shown.sum(1, keepdim=True)
        place = log_likely.argsort(1, descending=True).argsort(1)
        found = ((place < tags) & (shown > 0)).sum(1) / tags[:, 0].clamp(min=1)
        return torch.stack([found.sum(), (tags > 0).sum()])


def _mean(values: Tensor, among: Tensor) -> Tensor:
    """Of ``n c`` over those classes that are 1 in ``among``; 0 where there are none."""
    return (values * among).sum(1) / among.sum(1).clamp(min=1)
