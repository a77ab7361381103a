"""torchvision's heads of Mask R-CNN, that learn nothing from places whose objects are not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

LEVELS = ("0", "1", "2", "3")
"""Of the pyramid that boxes take their features from, as torchvision names them; it has one more, for proposals."""
STRIDES = (4, 8, 16, 32)
MOSTLY = 0.5
"""A box that finds no object is not taken as background where more than this share of it is void."""

Heads = Literal["v1", "v2"]


def proposal_network(channels: int, anchor_sizes: Sequence[int], heads: Heads, proposals: int) -> Proposals:
    """With torchvision's numbers: 3 shapes of anchors at each place of 5 levels; in training twice the proposals."""
    anchors = AnchorGenerator(tuple((size,) for size in anchor_sizes), ((0.5, 1.0, 2.0),) * len(anchor_sizes))
    return Proposals(
        anchors, RPNHead(channels, 3, conv_depth=2 if heads == "v2" else 1), 0.7, 0.3, 256, 0.5,
        *[{"training": 2 * proposals, "testing": proposals}] * 2, 0.7,
    )  # fmt: skip


def box_and_mask_heads(
    channels: int, head_channels: int, num_classes: int, heads: Heads, samples: int
) -> BoxesAndMasks:
    """With torchvision's numbers; ``v2`` has four convolutions before the class and batch norm throughout."""
    norm: Any = nn.BatchNorm2d if heads == "v2" else None
    box: nn.Module = TwoMLPHead(channels * 7 * 7, head_channels)
    if heads == "v2":
        box = FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [head_channels], norm_layer=norm)
    return BoxesAndMasks(
        _pooling(7), box, FastRCNNPredictor(head_channels, num_classes), 0.5, 0.5, samples, 0.25, None, 0.05, 0.5, 100,
        _pooling(14), MaskRCNNHeads(channels, [channels] * 4, 1, norm_layer=norm),
        MaskRCNNPredictor(channels, channels, num_classes),
    )  # fmt: skip


def _pooling(side: int) -> MultiScaleRoIAlign:
    """It would guess the strides from the first image that it sees, wrongly from one of a few pixels."""
    pool = MultiScaleRoIAlign(list(LEVELS), side, 2)
    pool.scales, pool.map_levels = [1 / stride for stride in STRIDES], initLevelMapper(2, 5)
    return pool


class Proposals(RegionProposalNetwork):
    """torchvision's; targets may have ``ignored``, bool ``[H, W]``."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for own, places, target in zip(labels, anchors, targets, strict=True):
            own[(own == 0) & is_mostly_void(places, target["ignored"])] = -1
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        if all(bool((own < 0).all()) for own in labels):  # nothing but void: a mean over nothing is nan
            return objectness.sum() * 0, pred_bbox_deltas.sum() * 0
        return super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)


class BoxesAndMasks(RoIHeads):
    """torchvision's; targets may have ``ignored``, bool ``[H, W]``.

    Attributes:
        sampled: how many boxes the last training step was over; its losses are nan where that is none.
    """

    sampled = 0

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        assert targets is not None
        self._void = [target["ignored"] for target in targets]
        chosen: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]] = super().select_training_samples(
            proposals, targets
        )
        self._void, self.sampled = [], sum(len(labels) for labels in chosen[2])
        return chosen

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        matched, labels = super().assign_targets_to_proposals(proposals, gt_boxes, gt_labels)
        for own, places, ignored in zip(labels, proposals, self._void, strict=True):
            own[(own == 0) & is_mostly_void(places, ignored)] = -1
        return matched, labels


def is_mostly_void(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Whether more than :data:`MOSTLY` of the part of each box ``xyxy`` that lies in the image is void, bool ``[n]``.

    Args:
        ignored: bool ``[H, W]``.
    """
    height, width = ignored.shape
    if not bool(ignored.any()):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    sums = F.pad(ignored.int().cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32), (1, 0, 1, 0))
    left, right = (boxes[:, i].round().long().clamp(0, width) for i in (0, 2))
    top, bottom = (boxes[:, i].round().long().clamp(0, height) for i in (1, 3))
    void = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return void > MOSTLY * (bottom - top) * (right - left)
