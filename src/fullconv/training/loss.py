"""The losses that ``--loss`` names, all from coarse logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import label_weight, upsample_cross_entropy, upsample_dice, upsample_focal, upsample_ohem
from fullconv.ops.checks import kept, to_device
from fullconv.training.config import TrainConfig

UNASKED = -1e4
"""The score of a class that nobody asks about: its share is 0, and it learns nothing."""


def asked_only(logits: Tensor, labelled: Sequence[Sequence[bool]] | None, sources: Sequence[int]) -> Tensor:
    """Coarse scores ``n c h w`` with those classes of each image lowered that its data set does not label.

    The softmax is then over the labelled classes alone: a pixel called background in a data set without cars is no
    evidence against a car (partial cross-entropy).

    Args:
        logits: coarse scores.
        labelled: per data set whether it labels each class; None for one data set.
        sources: the data set of each image.
    """
    if labelled is None:
        return logits
    return logits.masked_fill(unlabelled(labelled, sources, logits.device)[:, :, None, None], UNASKED)


def unlabelled(labelled: Sequence[Sequence[bool]], sources: Sequence[int], device: torch.device) -> Tensor:
    """Which classes each image's data set does not label, ``[n, classes]``."""
    return _unlabelled(tuple(map(tuple, labelled)), device)[to_device(torch.tensor(sources), device)]


@kept
def _unlabelled(labelled: tuple[tuple[bool, ...], ...], device: torch.device) -> Tensor:
    return to_device(~torch.tensor(labelled), device)


def training_loss(
    config: TrainConfig,
    logits: Tensor,
    labels: Tensor,
    window: Window,
    ignore_index: int,
    weight: Tensor | None,
    mean_over_ranks: Callable[[Tensor], Tensor],
    ranks: int = 1,
) -> Tensor:
    """The loss of one rank's batch, so that its mean over ranks is that of the whole batch.

    That is exact for cross-entropy and focal loss, whose sums are divided by the mean of all ranks' labelled pixels.
    With ``reduction: sum`` they are not divided, as in the FCN paper. OHEM picks its pixels and Dice takes its sums on
    each rank alone.

    Args:
        logits: coarse scores ``n c h w``.
        labels: ids ``n H W``.
        window: where the labels lie in the enlarged logits.
        weight: one factor per class, or None.
        mean_over_ranks: of a number.
        ranks: how many there are; gradients are averaged over them.
    """
    if config.loss == "ohem":
        return upsample_ohem(logits, labels, crop=window, ignore_index=ignore_index, weight=weight)
    if config.loss == "dice":
        return upsample_dice(logits, labels, crop=window, ignore_index=ignore_index)
    if config.loss == "focal":
        loss = upsample_focal(logits, labels, crop=window, ignore_index=ignore_index, weight=weight, reduction="sum")
    else:
        loss = upsample_cross_entropy(
            logits, labels, crop=window, ignore_index=ignore_index, weight=weight, reduction="sum",
            label_smoothing=config.label_smoothing,
        )  # fmt: skip
    if config.reduction == "sum":
        return loss * ranks
    share = mean_over_ranks(label_weight(labels, ignore_index, weight))
    loss = loss / torch.where(share > 0, share, 1)
    if config.loss == "cross-entropy+dice":
        loss = loss + upsample_dice(logits, labels, crop=window, ignore_index=ignore_index)
    return loss
