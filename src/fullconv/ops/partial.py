"""Partial labels: images whose data set labels only some of the classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fullconv.ops.checks import kept, to_device

UNLABELLED = -1e4
"""The score of a class that nobody asks about: its share is 0, and it learns nothing."""


def mask_unlabelled_classes(
    logits: Tensor, labelled: Sequence[Sequence[bool]] | None, sources: Sequence[int]
) -> Tensor:
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
    return logits.masked_fill(unlabelled(labelled, sources, logits.device)[:, :, None, None], UNLABELLED)


def unlabelled(labelled: Sequence[Sequence[bool]], sources: Sequence[int], device: torch.device) -> Tensor:
    """Which classes each image's data set does not label, ``[n, classes]``."""
    return _unlabelled(tuple(map(tuple, labelled)), device)[to_device(torch.tensor(sources), device)]


@kept
def _unlabelled(labelled: tuple[tuple[bool, ...], ...], device: torch.device) -> Tensor:
    return to_device(~torch.tensor(labelled), device)
