"""The loss of image tags: the scores of an image's places, pooled, should name the classes that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fullconv.data import Batch
from fullconv.errors import first_few
from fullconv.geometry import Window
from fullconv.ops import place_weights
from fullconv.ops.checks import to_device
from fullconv.ops.partial import UNLABELLED, unlabelled
from fullconv.refinement.image_level import KEY, ImageLevel
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from fullconv.training.config import TrainConfig
from fullconv.training.ranks import Ranks
from fullconv.weak import Supervised, Supervision

Name = tuple[int, str]
"""Of an image: its data set in a mixture, and its id."""


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
    """Cross-entropy between the softmax of an image's pooled scores and its tags, each of them an equal share.

    A class called background counts as shown in every image. Images that teach with something else add nothing; the
    sum is divided by the size of the batch, so that an image counts alike in whatever mix it is.

    Column ``train_tag_precision``: with ``t`` tags in an image (but background), the share of them that is among the
    ``t`` classes of the highest pooled scores; the mean over images with a tag.

    Args:
        tags: of each image that teaches with them.
        classes: of the data.
        image_level: how scores are pooled.
        batch_size: images in a step over all ranks.
        labelled: of a mixture, per data set whether it labels each class: of others nothing is asked.

    Source: Pinheiro & Collobert, "From Image-level to Pixel-level Labeling with Convolutional Networks",
    arXiv:1411.6228, section 3.1, where an image has one class; several, and the background, are ours (docs/less.md).
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
        device = logits.device
        which = to_device(torch.tensor(taught), device)
        shown = self.shown[to_device(torch.tensor([rows[i] for i in taught]), device)]
        scores = logits.index_select(0, which).float()
        size = (batch.pixels.shape[-2], batch.pixels.shape[-1])
        weight = place_weights(
            (scores.shape[2], scores.shape[3]), size, window, batch.inside.index_select(0, which), scores
        )
        pooled = self.image_level.pool(scores, weight)
        if self.labelled is not None:
            strange = unlabelled(self.labelled, [batch.sources[i] for i in taught], device)
            pooled, shown = pooled.masked_fill(strange, UNLABELLED), shown.masked_fill(strange, 0)
        self.measured = self._precision(pooled.detach(), shown)[None]
        share = shown / shown.sum(1, keepdim=True).clamp(min=1)
        return -(share * pooled.log_softmax(1)).sum() * self.ranks.count / self.batch_size

    def _precision(self, pooled: Tensor, shown: Tensor) -> Tensor:
        """The sum of images' precisions and how many have one, ``[2]``."""
        if self.classes.background is not None:
            pooled, shown = pooled.clone(), shown.clone()
            pooled[:, self.classes.background] = 2 * UNLABELLED
            shown[:, self.classes.background] = 0
        tags = shown.sum(1, keepdim=True)
        place = pooled.argsort(1, descending=True).argsort(1)
        found = ((place < tags) & (shown > 0)).sum(1) / tags[:, 0].clamp(min=1)
        return torch.stack([found.sum(), (tags > 0).sum()])
