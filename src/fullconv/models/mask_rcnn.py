"""Mask R-CNN: objects with their boxes and masks, pasted to scores of every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
import torchvision
from timm.utils.model import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import expand_boxes, expand_masks, paste_mask_in_image
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from fullconv.geometry import same_map
from fullconv.models.cpu_bf16 import careful_convolutions
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.instance_heads import STRIDES, Heads, box_and_mask_heads, proposal_network
from fullconv.models.network import EncoderNetwork, on_the_grid
from fullconv.spec import ClassSet

LEAST = 1e-4
"""The least chance of a class at a pixel: its logarithm is finite."""
NORM_EPS = 1e-5
"""What batch norm adds to the variance."""
INSIDE = 0.5
"""A pixel is in a mask from this probability on."""
MASK_RCNN: dict[str, dict[str, Any]] = {
    "maskrcnn_resnet50_fpn": {"heads": "v1", "norm": "frozen"},
    "maskrcnn_resnet50_fpn_v2": {"heads": "v2"},
}
"""torchvision's trained networks, and the ``model_args`` that make them on the encoder ``resnet50``."""
PER_CLASS = ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")

Target = dict[str, Tensor]


class Detections(NamedTuple):
    """The objects found in one image, the most certain first.

    Attributes:
        boxes: float ``[n, 4]``, ``xyxy`` in the image's pixels.
        labels: int64 ``[n]``, class ids.
        scores: float ``[n]``, 0 to 1.
        masks: float ``[n, 28, 28]``, the probability that a place of the box is the object's.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: Tensor

    def pasted(self, size: tuple[int, int]) -> Iterator[Tensor]:
        """Each one's mask in an image of ``(height, width)``, bool ``[height, width]``: bilinear, from 0.5 on."""
        masks, scale = expand_masks(self.masks[:, None], 1)
        for mask, box in zip(masks, expand_boxes(self.boxes, scale).long(), strict=True):
            yield paste_mask_in_image(mask[0], box, *size) >= INSIDE


class MaskRCNN(EncoderNetwork):
    """A pyramid over an encoder, proposals, and for each of them a class, a box and a mask: torchvision's parts.

    Its logits are those of the pasted map: the chance of a class at a pixel is the score of its most certain object
    there, that of the background what the most certain one of all leaves; the logits are the logarithms. So the label
    of a pixel is the class of the most certain object there whose score is above 0.5, else background.

    Args:
        encoder: taps at strides 4, 8, 16 and 32.
        num_classes: with the background.
        background: its id; other classes are of objects.
        heads: ``v1`` as in the paper, ``v2`` as torchvision's later network: two convolutions before proposals, four
            before the class, batch norm in pyramid and heads.
        norm: ``frozen``: the encoder's batch norms keep their statistics and factors, for batches of a few images.
        min_size, max_size: images are enlarged or shrunk until their shorter side is ``min_size``, or the longer one
            ``max_size``; 0: they are taken as they are.
        anchor_sizes: side in pixels of the square anchor at strides 4, 8, 16, 32 and 64.
        pyramid_channels: of every level.
        head_channels: of the layers before class and box.
        proposals: boxes of an image that are looked at; fewer are quicker.
        samples: so many of them are learned from in a training step, a quarter of them on objects.

    Source: He et al., arXiv:1703.06870; ``v2``: Li et al., arXiv:2111.11429. Weights of torchvision's
    ``maskrcnn_resnet50_fpn`` and ``_v2`` give the same objects here, on the encoder ``resnet50``.
    """

    chooses = True  # objects

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        background: int = 0,
        heads: Heads = "v1",
        norm: Literal["batch", "frozen"] = "batch",
        min_size: int = 0,
        max_size: int = 1333,
        anchor_sizes: Sequence[int] = (32, 64, 128, 256, 512),
        pyramid_channels: int = 256,
        head_channels: int = 1024,
        proposals: int = 1000,
        samples: int = 512,
    ) -> None:
        super().__init__(encoder, num_classes)
        on_the_grid(encoder, "maskrcnn")
        if not 0 <= background < num_classes or num_classes < 2:
            raise ValueError(f"background {background} is none of {num_classes} classes, of which one is of objects")
        if len(anchor_sizes) != len(STRIDES) + 1 or min(anchor_sizes) < 1:
            raise ValueError(f"anchor_sizes names {len(STRIDES) + 1} sizes in pixels, found {list(anchor_sizes)}")
        if min(min_size, max_size - 1) < 0:
            raise ValueError(f"min_size {min_size} and max_size {max_size} are sides in pixels")
        if min(proposals, samples) < 1:
            raise ValueError(f"proposals and samples are at least 1, found {proposals} and {samples}")
        if norm == "frozen":
            freeze_batch_norm_2d(encoder)
        self.num_classes, self.min_size, self.max_size = num_classes, min_size, max_size
        self.stride, self.coarsest_stride, self.coordinates = 1, STRIDES[-1], same_map(1)
        self.fpn = FeaturePyramidNetwork(
            [encoder.channels[stride] for stride in STRIDES], pyramid_channels, LastLevelMaxPool(),
            nn.BatchNorm2d if heads == "v2" else None,
        )  # fmt: skip
        self.rpn = proposal_network(pyramid_channels, anchor_sizes, heads, proposals)
        self.roi_heads = box_and_mask_heads(pyramid_channels, head_channels, num_classes, heads, samples)
        self.own_ids = [background, *(i for i in range(num_classes) if i != background)]
        """The class of each number that torchvision's heads count by, in which 0 is the background."""
        self.class_axes = {f"roi_heads.{layer}.{part}": (0,) for layer in PER_CLASS for part in ("weight", "bias")}

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs(STRIDES)

    @classmethod
    def told_by(cls, classes: ClassSet) -> dict[str, Any]:
        return {} if classes.background is None else {"background": classes.background}

    def by_class(self, name: str, value: Tensor) -> Tensor:
        """In the order of our ids; of the layer of boxes the four values of a class together."""
        value = value.reshape(self.num_classes, -1, *value.shape[1:]) if "bbox_pred" in name else value
        return value[_inverse(self.own_ids)]

    def from_class(self, name: str, value: Tensor) -> Tensor:
        value = value[self.own_ids]
        return value.flatten(0, 1) if "bbox_pred" in name else value

    def __call__(self, pixels: Tensor, targets: Sequence[Target] | None = None) -> Any:
        with careful_convolutions():
            return nn.Module.__call__(self, pixels, targets)

    def forward(self, pixels: Tensor, targets: Sequence[Target] | None = None) -> Tensor | dict[str, Tensor]:
        """Logits ``n num_classes H W`` of normalised images ``n c H W``; in training the losses by torchvision's names.

        Args:
            targets: in training, of each image ``boxes`` (int64 ``[m, 4]``, ``xyxy``: whole numbers are not rounded
                where inputs become bf16), ``labels`` (int64 ``[m]``, class ids), ``masks`` (uint8 ``[m, H, W]``) and
                ``ignored`` (bool ``[H, W]``: where objects are not known). Without them it learns an object that fills
                the image: for whoever measures a step.
        """
        if self.training:
            return self.losses(pixels, _filling(pixels, self.own_ids[1]) if targets is None else targets)
        found = self.detect(pixels)
        size = (pixels.shape[2], pixels.shape[3])
        return torch.stack([self.score_map(one, size) for one in found])

    def try_out(self, pixels: Tensor) -> Tensor:
        """Its pyramid alone, which meets the encoder; objects would depend on values, and take seconds."""
        self._pyramid(self.encoder.pad(pixels))
        return pixels.new_empty(len(pixels), self.num_classes, *pixels.shape[-2:])

    # -- prediction ----------------------------------------------------------------------------------------------

    def detect(self, pixels: Tensor) -> list[Detections]:
        """The objects in each of some normalised images ``n c H W``; their scores are above 0.05.

        Where features are not finite the scores of the image's one object are nan.
        """
        images, levels = self._levels(pixels)
        sizes, before = images.image_sizes, pixels.shape[-2:]
        with torch.autocast(pixels.device.type, enabled=False):
            proposals, _ = self.rpn(images, levels)
            found, _ = self.roi_heads(levels, proposals, sizes)
        sound = torch.stack([level.isfinite().flatten(1).all(1) for level in levels.values()]).all(0).tolist()
        ids = torch.tensor(self.own_ids, device=pixels.device)
        ratio = pixels.new_tensor([before[1] / sizes[0][1], before[0] / sizes[0][0]]).repeat(2)
        return [
            Detections(one["boxes"] * ratio, ids[one["labels"]], one["scores"], one["masks"][:, 0])
            if good else _unsound(pixels)
            for one, good in zip(found, sound, strict=True)
        ]  # fmt: skip

    def score_map(self, found: Detections, size: tuple[int, int]) -> Tensor:
        """Logits ``num_classes height width`` of the pasted objects."""
        chances = found.scores.new_zeros(self.num_classes, *size)
        background = self.own_ids[0]
        if not bool(found.scores.isfinite().all()):
            return chances.fill_(torch.nan)
        for label, score, mask in zip(found.labels.tolist(), found.scores, found.pasted(size), strict=True):
            chances[label] = torch.where(mask, torch.maximum(chances[label], score), chances[label])
        chances[background] = 1 - chances.amax(0)
        return chances.clamp_(min=LEAST).log_()

    # -- training ------------------------------------------------------------------------------------------------

    def losses(self, pixels: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """``loss_classifier``, ``loss_box_reg``, ``loss_mask``, ``loss_objectness``, ``loss_rpn_box_reg``."""
        images, levels = self._levels(pixels)
        wanted = [self._as_seen(target, pixels.shape[-2:], images.image_sizes[0]) for target in targets]
        with torch.autocast(pixels.device.type, enabled=False):
            proposals, first = self.rpn(images, levels, wanted)
            _, second = self.roi_heads(levels, proposals, images.image_sizes, wanted)
        if not self.roi_heads.sampled:  # means over nothing
            second = {name: loss.nan_to_num() for name, loss in second.items()}
        return {**second, **first}

    def _as_seen(self, target: Target, before: Sequence[int], size: tuple[int, int]) -> Target:
        """A target with torchvision's numbers of the classes, on the image as it is resized."""
        numbers = torch.tensor(_inverse(self.own_ids), device=target["labels"].device)
        boxes, masks, ignored = target["boxes"].float(), target["masks"], target["ignored"]
        if tuple(before) != size:
            boxes = boxes * boxes.new_tensor([size[1] / before[1], size[0] / before[0]]).repeat(2)
            masks, void = (F.interpolate(part[:, None].float(), size)[:, 0] for part in (masks, ignored[None]))
            masks, ignored = masks.byte(), void[0] > 0
        return {"boxes": boxes, "labels": numbers[target["labels"]], "masks": masks, "ignored": ignored}

    def _levels(self, pixels: Tensor) -> tuple[ImageList, dict[str, Tensor]]:
        """The images as the encoder sees them, with their sizes before padding, and the pyramid, not in 16 bits."""
        height, width = pixels.shape[-2:]
        if self.min_size:
            factor = min(self.min_size / min(height, width), self.max_size / max(height, width))
            pixels = F.interpolate(
                pixels, scale_factor=factor, mode="bilinear", recompute_scale_factor=True, align_corners=False
            )
        size = (pixels.shape[2], pixels.shape[3])
        padded = self.encoder.pad(pixels)
        levels = self._pyramid(padded)
        full = torch.promote_types(levels["0"].dtype, torch.float32)
        return ImageList(padded, [size] * len(pixels)), {name: level.to(full) for name, level in levels.items()}

    def _pyramid(self, padded: Tensor) -> dict[str, Tensor]:
        taps = self.encoder(padded)
        levels: dict[str, Tensor] = self.fpn({str(i): taps[stride] for i, stride in enumerate(STRIDES)})
        return levels


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def _filling(pixels: Tensor, label: int) -> list[Target]:
    """Of each image one object that fills it."""
    height, width = pixels.shape[-2:]
    target = {
        "boxes": pixels.new_tensor([[0.0, 0.0, width, height]]),
        "labels": torch.full((1,), label, device=pixels.device),
        "masks": torch.ones(1, height, width, dtype=torch.uint8, device=pixels.device),
        "ignored": torch.zeros(height, width, dtype=torch.bool, device=pixels.device),
    }
    return [target] * len(pixels)


def _unsound(pixels: Tensor) -> Detections:
    """One object without a place whose score is nan."""
    label = torch.zeros(1, dtype=torch.int64, device=pixels.device)
    return Detections(pixels.new_zeros(1, 4), label, pixels.new_full((1,), torch.nan), pixels.new_zeros(1, 28, 28))


def own_state(name: str, state: Mapping[str, Tensor], kept: Sequence[int]) -> dict[str, Tensor]:
    """A state dict of one of torchvision's networks (:data:`MASK_RCNN`) under our names, with some of its classes.

    Args:
        kept: torchvision's numbers of the classes, the background's first.

    Raises:
        RuntimeError: it is of another network.
    """
    count = len(state["roi_heads.box_predictor.cls_score.bias"])
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=count)
    theirs.load_state_dict(state, assign=True)  # which also knows the names of its earlier versions
    found = {
        key.replace("backbone.body.", "encoder.body.").replace("backbone.fpn.", "fpn."): value
        for key, value in theirs.state_dict().items()
    }
    for layer in PER_CLASS:
        for key in (f"roi_heads.{layer}.weight", f"roi_heads.{layer}.bias"):
            each = found[key].reshape(-1, 4, *found[key].shape[1:]) if "bbox_pred" in layer else found[key]
            found[key] = each[list(kept)].reshape(-1, *found[key].shape[1:])
    if MASK_RCNN[name].get("norm") != "frozen":
        return found
    for key in [key for key in found if key.startswith("encoder.") and key.endswith("running_var")]:
        # it was trained without the number that keeps the variance from 0, which torchvision leaves out again
        factor = key.replace("running_var", "weight")
        found[factor] = found[factor] * ((found[key] + NORM_EPS) / found[key]).sqrt()
    return {key: value for key, value in found.items() if not (key.startswith("encoder.") and "num_batches" in key)}
