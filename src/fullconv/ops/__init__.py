"""The numeric kernels: exact loss, labels and counts from coarse logits. Usable with any PyTorch network."""

from fullconv.ops.bilinear import bilinear_kernel, upsample
from fullconv.ops.counts import confusion_counts
from fullconv.ops.labels import upsample_argmax
from fullconv.ops.loss import upsample_cross_entropy

__all__ = [
    "bilinear_kernel",
    "confusion_counts",
    "upsample",
    "upsample_argmax",
    "upsample_cross_entropy",
]
