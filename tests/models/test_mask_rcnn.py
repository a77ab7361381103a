"""Mask R-CNN beside torchvision's own, its pasted map beside a loop, and what it learns nothing from."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.models import build_model
from fullconv.models.by_class import transplant_by_class
from fullconv.models.instance_heads import is_mostly_void
from fullconv.models.mask_rcnn import LEAST, Detections, MaskRCNN

SMALL = {"pyramid_channels": 16, "head_channels": 16}


def small(num_classes: int = 3, **args: object) -> MaskRCNN:
    torch.manual_seed(0)
    network = build_model("maskrcnn", num_classes, "resnet10t", model_args={**SMALL, **args}).network
    assert isinstance(network, MaskRCNN)
    return network


def target(height: int, width: int, box: tuple[int, int, int, int] | None, label: int = 1) -> dict[str, Tensor]:
    boxes = torch.tensor([] if box is None else [box]).float().reshape(-1, 4)
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
    if box is not None:
        masks[0, box[1] : box[3], box[0] : box[2]] = 1
    labels = torch.full((len(boxes),), label)
    return {"boxes": boxes, "labels": labels, "masks": masks, "ignored": torch.zeros(height, width, dtype=torch.bool)}


@pytest.mark.parametrize(("heads", "name"), [("v1", "maskrcnn_resnet50_fpn"), ("v2", "maskrcnn_resnet50_fpn_v2")])
def test_torchvision_s_weights_give_torchvision_s_objects_and_losses(heads: str, name: str) -> None:
    torch.manual_seed(0)
    still = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    few = {"rpn_post_nms_top_n_test": 40, "rpn_post_nms_top_n_train": 40}
    theirs = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96, **still, **few
    )
    with torch.no_grad():
        theirs.roi_heads.box_predictor.cls_score.weight.mul_(30)  # scores far from each other
    ours = build_model("maskrcnn", 4, "resnet50", model_args={"heads": heads, "min_size": 64, "max_size": 96}).network
    ours.rpn._post_nms_top_n = dict.fromkeys(("training", "testing"), 40)
    state = {
        key.replace("backbone.body.", "encoder.body.").replace("backbone.fpn.", "fpn."): value
        for key, value in theirs.state_dict().items()
    }
    ours.load_state_dict(state)
    pixels = torch.randn(2, 3, 50, 76)
    with torch.inference_mode():
        expected, found = theirs.eval()(list(pixels)), ours.eval().detect(pixels)
    assert sum(len(one.scores) for one in found) > 10
    for theirs_, one in zip(expected, found, strict=True):
        torch.testing.assert_close(one.boxes, theirs_["boxes"])
        torch.testing.assert_close(one.scores, theirs_["scores"])
        assert torch.equal(one.labels, theirs_["labels"])
        assert torch.equal(torch.stack(list(one.pasted((50, 76)))), theirs_["masks"][:, 0] >= 0.5)
    wanted = [target(50, 76, (10, 10, 50, 35), 2), target(50, 76, None)]
    theirs.train(), ours.train()
    torch.manual_seed(1)
    losses = theirs(list(pixels), [{k: v for k, v in one.items() if k != "ignored"} for one in wanted])
    torch.manual_seed(1)
    torch.empty(1).uniform_(), torch.empty(1).uniform_()  # torchvision draws a size for each image
    for name, loss in ours(pixels, wanted).items():
        torch.testing.assert_close(loss, losses[name])


def test_the_pasted_map_is_the_rule() -> None:
    """By score, higher over lower; background where no object of more than 0.5 is."""
    network, random = small(4, background=2), torch.Generator().manual_seed(3)
    size, count = (37, 53), 9
    corners = torch.rand(count, 2, 2, generator=random).sort(1).values * torch.tensor([53.0, 37.0])
    boxes = torch.cat([corners[:, 0], corners[:, 1] + 2], 1).clamp(max=53)
    boxes[:, 3].clamp_(max=37)
    scores = torch.rand(count, generator=random).sort(descending=True).values
    labels = torch.tensor([0, 1, 3])[torch.randint(0, 3, (count,), generator=random)]
    found = Detections(boxes, labels, scores, torch.rand(count, 28, 28, generator=random))
    expected = np.full(size, 2)
    for place in reversed(range(count)):
        mask = list(found.pasted(size))[place].numpy()
        if scores[place] > 0.5:
            expected[mask] = int(labels[place])
    logits = network.score_map(found, size)
    assert np.array_equal(logits.argmax(0).numpy(), expected)
    assert len(np.unique(expected)) > 2
    best = max(float(score) for score, mask in zip(scores, found.pasted(size), strict=True) if mask[20, 25])
    chance = logits.exp()[:, 20, 25]
    assert float(chance[2]) == pytest.approx(max(1 - best, LEAST), rel=1e-4)


def test_an_image_without_objects_is_background() -> None:
    network = small(3, background=1)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, 28, 28))
    assert (network.score_map(nothing, (5, 6)).argmax(0) == 1).all()


@pytest.mark.parametrize("heads", ["v1", "v2"])
def test_images_without_objects_and_all_void_ones_have_finite_losses(heads: str) -> None:
    network, pixels = small(heads=heads).train(), torch.randn(2, 3, 64, 64)
    empty, void = target(64, 64, None), target(64, 64, None)
    void["ignored"][:] = True
    for targets in ([empty, empty], [void, void], [void, target(64, 64, (8, 8, 40, 40))]):
        losses = network(pixels, targets)
        assert all(bool(loss.isfinite()) for loss in losses.values())
        sum(losses.values()).backward()
        assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
    losses = network(pixels, [void, void])
    assert all(loss.item() == 0 for loss in losses.values())  # nothing is known of it


def test_where_most_of_a_box_is_void_it_is_not_background() -> None:
    ignored = torch.zeros(20, 30, dtype=torch.bool)
    ignored[:, :10] = True
    boxes = torch.tensor([[0.0, 0, 10, 20], [0, 0, 19, 20], [0, 0, 21, 20], [12, 0, 30, 20], [-50, 0, 4, 20]])
    expected = []
    for left, top, right, bottom in boxes.clamp(min=0).int().tolist():
        part = ignored[top:bottom, left:right].float()
        expected.append(float(part.mean()) > 0.5)
    assert is_mostly_void(boxes, ignored).tolist() == expected == [True, True, False, False, True]


def test_scores_that_are_not_finite_reach_the_map() -> None:
    network = small().eval()
    pixels = torch.randn(2, 3, 40, 40)
    pixels[1, 0, 3, 3] = torch.nan
    with torch.inference_mode():
        logits = network(pixels)
    assert bool(logits[0].isfinite().all())
    assert bool(logits[1].isnan().all())


def test_frozen_norms_stay_as_they_are() -> None:
    network = small(norm="frozen").train()
    before = {name: value.clone() for name, value in network.encoder.named_buffers()}
    sum(network(torch.randn(2, 3, 64, 64)).values()).backward()
    assert before
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.named_buffers())
    assert not any("bn1" in name for name, _ in network.encoder.named_parameters())


def test_classes_are_carried_over_by_name_wherever_the_background_is() -> None:
    one = small(4, background=0)
    other = small(4, background=3)
    with torch.no_grad():
        one.roi_heads.box_predictor.bbox_pred.bias.copy_(torch.arange(16.0))
        one.roi_heads.box_predictor.cls_score.bias.copy_(torch.arange(4.0))
    report = transplant_by_class(one, ("background", "cat", "dog", "cow"), other, ("cow", "cat", "bird", "background"))
    assert not report.left
    # torchvision's order there: background, cow, cat, bird
    assert other.roi_heads.box_predictor.cls_score.bias.tolist()[:3] == [0, 3, 1]
    assert other.roi_heads.box_predictor.bbox_pred.bias.tolist()[:12] == [0, 1, 2, 3, 12, 13, 14, 15, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"background": 3}, "background 3 is none of 3 classes"),
        ({"anchor_sizes": [8, 16]}, "anchor_sizes names 5 sizes"),
        ({"heads": "v3"}, "heads cannot be 'v3'; expected v1 or v2"),
        ({"min_size": -1}, "sides in pixels"),
    ],
)
def test_refuses(args: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words), warnings.catch_warnings():
        small(**args)


def test_the_encoder_computes_once() -> None:
    network, calls = small().train(), []
    network.encoder.register_forward_hook(lambda *_: calls.append(1))
    network(torch.randn(1, 3, 64, 64))
    network.eval()(torch.randn(1, 3, 64, 64))
    assert len(calls) == 2
