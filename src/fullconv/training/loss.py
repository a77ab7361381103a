"""The losses that ``--loss`` names, all from coarse logits."""

from __future__ import annotations

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import label_weight, upsample_cross_entropy, upsample_dice, upsample_focal, upsample_ohem
from fullconv.training.config import TrainConfig
from fullconv.training.ranks import Ranks


def training_loss(
    config: TrainConfig,
    logits: Tensor,
    labels: Tensor,
    window: Window,
    ignore_index: int,
    weight: Tensor | None,
    ranks: Ranks,
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
        ranks: gradients are averaged over them.

    Returns:
        A scalar, float32 (float64 for float64 logits); 0 where no pixel is labelled.
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
        return loss * ranks.count
    share = ranks.mean(label_weight(labels, ignore_index, weight))
    loss = loss / torch.where(share > 0, share, 1)
    if config.loss == "cross-entropy+dice":
        loss = loss + upsample_dice(logits, labels, crop=window, ignore_index=ignore_index)
    return loss
