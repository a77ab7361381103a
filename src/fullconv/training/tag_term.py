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
BACKGROUND = 0.5
"""Weight of the background's part of the loss. With it and a sharpness of 5 the loss of an image would be least, if the
pixels could be had by any class, with 0.5 / (0.5 + 1 / 5) = 71 % of them background and equal shares of the tags."""


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

    Of an image: the mean of ``-log p`` over its tags, and the mean of ``-log(1 - p)`` over the other classes. A class
    called background counts as shown in every image and is a third part, ``-log p / 2`` of it alone, pooled by the mean
    of its places: it should be most of the image, a tagged class only some of it. Else the two could change roles.
    (With ``max`` it is pooled by the maximum too: plain MIL-max.) Without such a class an image without a tag teaches
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
    probabilities are here. That background is pooled closer to the mean: Kolesnikov & Lampert, "Seed, Expand and
    Constrain", arXiv:1603.06098, section 3.3.2.
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
            most = "" if pooling.pooling == "max" else ", and as most of it"
            lines.append(f"  {names[self.classes.background]} counts as shown in every one of them{most}")
        return lines

    def start(self, ranks: Ranks) -> None:
        self.ranks = ranks
        shown = torch.zeros(len(self.tags), len(self.classes))
        for row, tags in enumerate(self.tags.values()):
            shown[row, sorted(tags - {self.classes.background})] = 1
        self.shown = to_device(shown, ranks.device)
        if self.classes.background is not None:
            self.background = to_device(torch.tensor([self.classes.background]), ranks.device)
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
        weight = place_weights((scores.shape[2], scores.shape[3]), size, window, inside, scores)
        log_likely = self.image_level.pool(scores, weight)
        known = torch.ones_like(shown)
        if self.labelled is not None:
            known = (~unlabelled(self.labelled, sources, device)).to(shown)
        hidden, around = (1 - shown) * known, self.classes.background
        if around is not None:
            hidden = hidden.index_fill(1, self.background, 0)
        self.measured = self._precision(log_likely.detach(), shown)[None]
        absent = torch.log(-torch.expm1(log_likely - SMALLEST))
        losses = -_mean(log_likely, shown) - _mean(absent, hidden)
        if around is None:
            losses = losses * (shown.sum(1) > 0)
        else:
            losses = losses - BACKGROUND * self._around(scores, weight, around) * known[:, around]
        return losses.sum() * self.ranks.count / self.batch_size

    def _around(self, scores: Tensor, weight: Tensor, background: int) -> Tensor:
        """The log-probability of the background in each image, ``[n]``: pooled by the mean, or by max like all."""
        pooling = self.image_level if self.image_level.pooling == "max" else ImageLevel("lse", 1.0)
        return pooling.pool(scores, weight)[:, background]

    def _precision(self, log_likely: Tensor, shown: Tensor) -> Tensor:
        """The sum of images' precisions and how many have one, ``[2]``."""
        if self.classes.background is not None:
            log_likely = log_likely.index_fill(1, self.background, -math.inf)
        tags = shown.sum(1, keepdim=True)
        place = log_likely.argsort(1, descending=True).argsort(1)
        found = ((place < tags) & (shown > 0)).sum(1) / tags[:, 0].clamp(min=1)
        return torch.stack([found.sum(), (tags > 0).sum()])


def _mean(values: Tensor, among: Tensor) -> Tensor:
    """Of ``n c`` over those classes that are 1 in ``among``; 0 where there are none."""
    return (values * among).sum(1) / among.sum(1).clamp(min=1)
