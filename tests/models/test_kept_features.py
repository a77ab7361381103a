from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from fullconv.models import build_model
from fullconv.models.kept_features import KeptFeatures


class Counting(nn.Module):
    """A dict of two maps of each image, which counts the images that it sees."""

    seen = 0

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        self.seen += len(pixels)
        return {2: pixels[:, :1, ::2, ::2] * 2, 4: pixels.mean((2, 3))}


def test_an_image_that_comes_again_is_not_computed_again() -> None:
    kept, layer = KeptFeatures(1 << 20), Counting()
    a, b, c = torch.randn(3, 2, 8, 8).unbind()
    first = kept.of(layer, torch.stack([a, b]))
    again = kept.of(layer, torch.stack([b, c, a]))
    assert (layer.seen, kept.found, kept.computed, len(kept)) == (3, 2, 3, 3)
    expected = Counting()(torch.stack([b, c, a]))
    assert list(again) == [2, 4]
    for stride in expected:
        assert torch.equal(again[stride], expected[stride])
        assert torch.equal(first[stride][1], expected[stride][0])


def test_other_numbers_sizes_and_arithmetic_are_other_images() -> None:
    kept, layer = KeptFeatures(1 << 20), Counting()
    image = torch.randn(1, 2, 8, 8)
    kept.of(layer, image)
    changed = image.clone()
    changed[0, 1, 7, 7] += 1e-6
    kept.of(layer, changed)
    kept.of(layer, image.view(1, 2, 4, 16))
    with torch.autocast("cpu", torch.bfloat16):
        kept.of(layer, image)
    assert layer.seen == 4
    kept.of(layer, image.contiguous(memory_format=torch.channels_last))  # the same numbers
    assert layer.seen == 4


def test_what_does_not_fit_is_computed_each_time() -> None:
    kept, layer = KeptFeatures(4 * (16 + 2) + 1), Counting()
    pixels = torch.randn(2, 2, 8, 8)
    for _ in range(3):
        found = kept.of(layer, pixels)
        assert torch.equal(found[4], Counting()(pixels)[4])
    assert kept.full
    assert (len(kept), kept.used, layer.seen) == (1, 72, 4)


def test_what_validation_computed_can_be_learned_from() -> None:
    kept, layer = KeptFeatures(1 << 20), Counting()
    pixels, weight = torch.randn(1, 2, 8, 8), torch.randn(1, requires_grad=True)
    with torch.inference_mode():
        kept.of(layer, pixels)
    (kept.of(layer, pixels)[2] * weight).sum().backward()
    assert weight.grad is not None
    assert layer.seen == 1


@pytest.mark.parametrize("encoder", ["mobilenetv2_035", "test_vit", "vgg16"])
def test_scores_and_gradients_of_a_network_stay_the_same(encoder: str) -> None:
    network = build_model("fcn8s", 3, encoder).network
    network.backbone.requires_grad_(False)
    pixels = torch.randn(2, 3, 64, 64)
    plain = copy.deepcopy(network)
    network.encoder.kept = KeptFeatures(1 << 28)
    results = []
    for one, times in ((plain, 1), (network, 3)):
        for _ in range(times):
            one.train()
            one.backbone.eval()
            one.zero_grad()
            torch.manual_seed(0)
            logits = one(pixels)
            logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad for p in one.parameters() if p.requires_grad)])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    kept = network.encoder.kept
    assert (kept.found, kept.computed) == (4, 2)
    assert copy.deepcopy(network).encoder.kept is kept
