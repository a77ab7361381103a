"""What the backends are asked for, and what they answer."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fullconv.geometry import Window


class SoftmaxTerms(NamedTuple):
    """A softmax loss of the bilinearly enlarged logits.

    Attributes:
        window: where the labels lie in the enlarged map.
        align_corners: as in :func:`torch.nn.functional.interpolate`.
        ignore_index: pixels with this label count for nothing.
        weight: one factor per class, or None.
        label_smoothing: share of the target spread evenly over the classes.
        gamma: of the focal loss; 0 for cross-entropy.
        gradient: whether the gradient is wanted.
        pixel_losses: whether the loss of every pixel is wanted.
    """

    window: Window
    align_corners: bool
    ignore_index: int
    weight: Tensor | None
    label_smoothing: float
    gamma: float
    gradient: bool
    pixel_losses: bool


class SoftmaxSums(NamedTuple):
    """Sums over all pixels that count.

    Attributes:
        loss: float64 scalar.
        weight: float64 scalar, the sum of the class weights of the labels: what a mean divides by.
        gradient: of ``loss`` with respect to the logits, ``n c h w``, in the dtype of the sums; None
            where it was not asked for, or where ``loss`` carries autograd's graph.
        pixel_losses: ``n H W``, 0 where ignored.
    """

    loss: Tensor
    weight: Tensor
    gradient: Tensor | None
    pixel_losses: Tensor | None


def bad_label(label: int, image: int, row: int, column: int, classes: int, ignore_index: int) -> ValueError:
    """The error for a label that is no class."""
    return ValueError(
        f"labels hold id {label} (image {image}, row {row}, column {column}); "
        f"expected 0 to {classes - 1} or {ignore_index} (ignored)"
    )
