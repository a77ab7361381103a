"""The numeric kernels: exact loss, labels and counts from coarse logits. Usable with any PyTorch network."""

from fullconv.ops.bilinear import bilinear_kernel, upsample
from fullconv.ops.counts import add_counts, confusion_counts, evaluate_counts
from fullconv.ops.crf_loss import dense_crf_loss
from fullconv.ops.labels import upsample_argmax, upsample_entropy
from fullconv.ops.loss import label_weight, pixel_cross_entropy, upsample_cross_entropy, upsample_focal, upsample_ohem
from fullconv.ops.overlap import upsample_dice
from fullconv.ops.pooling import place_weights, pool_log_sum_exp

__all__ = [
    "add_counts",
    "bilinear_kernel",
    "confusion_counts",
    "dense_crf_loss",
    "evaluate_counts",
    "label_weight",
    "pixel_cross_entropy",
    "place_weights",
    "pool_log_sum_exp",
    "upsample",
    "upsample_argmax",
    "upsample_cross_entropy",
    "upsample_dice",
    "upsample_entropy",
    "upsample_focal",
    "upsample_ohem",
]
