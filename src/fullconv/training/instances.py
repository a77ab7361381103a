"""The objective of objects: Mask R-CNN's losses, scored by the pasted label map and by the masks' average precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import masks_to_boxes

from fullconv.data import Batch, DatasetSpec, Item
from fullconv.data.instances import BITS, PackedInstances, count_without_instances
from fullconv.errors import DataError, UsageError
from fullconv.evaluation.mask_ap import judged, mask_ap
from fullconv.models.mask_rcnn import Target
from fullconv.regions.instances import InstanceSegmenter
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.label_maps import LabelMaps
from fullconv.training.objective import NO_EPOCH, Row, Validation
from fullconv.training.report import Figures

MODEL = "maskrcnn"
"""The network that learns objects."""
LOSSES = {
    "loss_classifier": "train_class", "loss_box_reg": "train_box", "loss_mask": "train_mask",
    "loss_objectness": "train_objectness", "loss_rpn_box_reg": "train_proposals",
}  # fmt: skip
"""torchvision's names, and the columns of the log."""
FEWEST = 16
"""Pixels of an object in a crop: of fewer, there is not enough to learn from, and it is void."""


class ObjectMasks(LabelMaps):
    """The sum of Mask R-CNN's five losses over the objects in the crops; the best epoch has the highest val mean IoU.

    An object of a crop is what is left of it there, with the box around that. Objects of fewer than :data:`FEWEST`
    pixels, crowds and what has no class are void, and places that are mostly void teach nothing.

    Columns of ``log.csv`` beside those of val that :class:`LabelMaps` has: ``train_loss``, its parts ``train_class``,
    ``train_box``, ``train_mask``, ``train_objectness`` and ``train_proposals``, and of the val images ``mask_ap`` and
    ``mask_ap50`` (:class:`fullconv.evaluation.metrics.ObjectScores`).

    Args:
        config, spec, train_items, val_items, segmenter: as for :class:`LabelMaps`.

    Raises:
        UsageError, DataError: as :meth:`refuse`.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: DatasetSpec,
        train_items: Sequence[Item],
        val_items: Sequence[Item],
        segmenter: Segmenter,
    ) -> None:
        super().__init__(config, spec, train_items, val_items, segmenter)
        self.packed = [_packed(item, spec) for item in train_items]

    @staticmethod
    def refuse(config: TrainConfig, spec: DatasetSpec) -> None:
        """What can be refused before the data is read.

        Raises:
            UsageError: options of label maps.
            DataError: no background, classes that not every image labels, or masks that do not tell objects apart.
        """
        LabelMaps.refuse(config, spec)
        strange = [f"--{name.replace('_', '-')}" for name in _OF_LABEL_MAPS if _changed(config, name)]
        if strange:
            raise UsageError(f"--model {MODEL} has losses of its own; leave out {', '.join(strange)}")
        if config.resize is not None:
            raise UsageError(
                f"--model {MODEL} resizes by --model-args.min-size and --model-args.max-size; leave out --resize"
            )
        if spec.classes.background is None:
            raise DataError(
                f"{spec.root}: no class is called background, which --model {MODEL} gives to what no object covers; "
                "name one so in dataset.yaml, or choose another network"
            )
        if spec.labelled and not all(map(all, spec.labelled)):
            raise DataError(
                f"{spec.root}: not every image is labelled with all classes, and --model {MODEL} would learn that "
                "objects of the others are background; choose another network, or data of the same classes"
            )
        bare = count_without_instances(spec.split("train"))
        if bare and config.objects == "annotated":
            raise DataError(
                f"{spec.root}: {bare} of {len(spec.split('train'))} train images have masks of classes, which do not "
                "say where one object ends and the next begins; give outlines (COCO, LabelMe, CVAT, ...), or --objects "
                "components, to take every connected component of a class as an object: touching ones are then one"
            )

    def opening(self) -> list[str]:
        lines = super().opening()
        for split, items in (("train", self.train_items), ("val", self.val_items)):
            if bare := count_without_instances(items):
                lines.append(
                    f"{bare} of {len(items)} {split} images have masks only: a connected component of a class is one "
                    "object there, also where two touch"
                )
        return lines

    # -- steps ---------------------------------------------------------------------------------------------------

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        wide = torch.float32 if self.ranks.device.type == "mps" else torch.float64
        self.sums = torch.zeros(len(LOSSES) + 1, dtype=wide, device=self.ranks.device)
        """Of the epoch so far: each loss, and how many steps (of all ranks)."""
        if "losses" in state and self.ranks.first:
            self.sums += state["losses"].to(self.sums)

    def state(self) -> dict[str, Tensor]:
        """``losses``: of the epoch's steps so far, the sum of each loss, and how many there were."""
        return {"losses": self.ranks.sum(self.sums.clone()).cpu()}

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        return self.packed, NO_EPOCH

    def forward(self, network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The losses one by one, in the order of :data:`LOSSES`, and their sum."""
        targets = [target_of(packed, self.spec.classes.ignore_index) for packed in batch.labels]
        losses = network(normalise(batch.pixels, self.segmenter.preprocessing), targets)
        parts = torch.stack([losses[name] for name in LOSSES])
        return parts.detach(), parts.sum()

    def count(self, output: Tensor, batch: Batch) -> None:
        self.sums[:-1] += output
        self.sums[-1] += 1

    # -- epochs --------------------------------------------------------------------------------------------------

    def trained(self, loss: float) -> Row:
        *sums, steps = self.state()["losses"].tolist()
        self.sums.zero_()
        return {"train_loss": loss, **{name: total / steps for name, total in zip(LOSSES.values(), sums, strict=True)}}

    def validate(self, segmenter: Segmenter, between: Callable[[int, int], None]) -> Validation:
        keeping = InstanceSegmenter(segmenter)
        pixels = super().validate(keeping, between)
        mine = judged(self.spec, self.val_items[self.ranks.index :: self.ranks.count], keeping.found)
        every = [one for share in self.ranks.gather(mine) for one in share]
        scores = mask_ap(every, self.spec.classes)
        columns = {**pixels.columns, "mask_ap": scores.ap, "mask_ap50": scores.ap50}
        return Validation(columns, {**pixels.report, "masks": scores.to_dict()}, pixels.kept)

    def figures(self, row: Row) -> Figures:
        found = [
            ("train loss", row["train_loss"]),
            ("val loss", row["val_loss"]),
            ("mask AP", row["mask_ap"]),
            ("AP50", row["mask_ap50"]),
            ("mean IoU", row["mean_iou"]),
            *((name.removeprefix("train_"), row[name]) for name in LOSSES.values()),
            ("pixel acc", row["pixel_accuracy"]),
        ]
        return [(name, f"{value:.4f}") for name, value in found]

    def summary(self, scores: Mapping[str, Any], model: Path) -> list[str]:
        lines = super().summary(scores, model)
        shown = ("-" if scores["masks"][name] is None else f"{scores['masks'][name]:.4f}" for name in ("ap", "ap50"))
        return [*lines, "  mask AP {}, AP50 {} over its {} objects".format(*shown, scores["masks"]["objects"])]


_OF_LABEL_MAPS = ("loss", "reduction", "label_smoothing", "class_weights", "crf_loss")


def _changed(config: TrainConfig, name: str) -> bool:
    return bool(getattr(config, name) != TrainConfig.model_fields[name].default)


def _packed(item: Item, spec: DatasetSpec) -> Item:
    return dataclasses.replace(item, annotation=PackedInstances(item.annotation, spec.classes))


def target_of(packed: Tensor, ignore_index: int) -> Target:
    """What Mask R-CNN learns of one image from its packed map ``[H, W]`` (:func:`fullconv.data.instances.pack`).

    Boxes go from edge to edge of the pixels that are left of an object.
    """
    owner, labels = packed >> BITS, packed & ((1 << BITS) - 1)
    numbers, counts = owner.unique(return_counts=True)
    large = (numbers > 0) & (counts >= FEWEST)
    small = numbers[(numbers > 0) & (counts < FEWEST)]
    masks = owner == numbers[large][:, None, None]
    first = masks.flatten(1).byte().argmax(1) if len(masks) else torch.zeros(0, dtype=torch.int64, device=packed.device)
    boxes = masks_to_boxes(masks).long() if len(masks) else first.new_zeros(0, 4)
    return {
        "boxes": boxes + boxes.new_tensor([0, 0, 1, 1]),
        "labels": labels.flatten()[first].long(),
        "masks": masks.byte(),
        "ignored": (labels == ignore_index) | torch.isin(owner, small),
    }
