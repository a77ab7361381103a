"""One tester for every network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from fullconv.errors import UsageError
from fullconv.geometry import same_map
from fullconv.models import MODELS, build_model, transplant
from fullconv.models.vgg import VGG16, names_of_vgg16
from fullconv.ops import upsample_cross_entropy
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing
from fullconv.training.config import TrainConfig
from tests.builders.networks import VARIANTS

each_network = pytest.mark.parametrize(("name", "encoder", "args"), VARIANTS)


def build(name: str, encoder: str, args: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, 4, encoder, model_args=args).network


def test_every_network_has_a_variant_here() -> None:
    assert {name for name, _, _ in VARIANTS} >= set(MODELS) - {"fcn16s"}


@each_network
@torch.inference_mode()
def test_any_size_gives_logits_that_cover_the_image(name: str, encoder: str, args: dict[str, Any]) -> None:
    network = build(name, encoder, args).eval()
    for size in ((1, 1), (33, 47), (64, 96)):
        logits = network(torch.randn(2, 3, *size))
        assert logits.shape[:2] == (2, 4)
        window = network.window(logits.shape[-2:])
        assert window.top + size[0] <= window.height + network.stride
        assert window.left + size[1] <= window.width + network.stride


@each_network
@torch.inference_mode()
def test_moving_the_image_by_the_coarsest_stride_moves_the_logits(
    name: str, encoder: str, args: dict[str, Any]
) -> None:
    """What tiles rely on. Far from the border, where padding is not seen; global pooling sees all of the image."""
    if args.get("head", "aspp-pool") == "aspp-pool" and name == "deeplab":
        pytest.skip("the image's mean is part of every score")
    if name == "maskrcnn":
        pytest.skip("objects are chosen among all of an image")
    if name == "eomt":
        pytest.skip("attention sees all of an image, and where in it a token lies")
    if name == "dilated":
        pytest.skip("the context module sees the padding from everywhere in a small image")
    network = build(name, encoder, args).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.out_channels == 4:
            nn.init.normal_(module.weight)
    step = network.coarsest_stride
    side = 1024 if "mobilenet" in encoder else 512  # more than the field of view
    image = torch.randn(1, 3, side, side)
    logits, moved = network(image), network(torch.roll(image, (step, step), (2, 3)))
    places = step // network.stride
    far = slice(logits.shape[2] // 2 - places, logits.shape[2] // 2 + places)
    near = torch.roll(logits, (places, places), (2, 3))
    assert (near[..., far, far] - moved[..., far, far]).abs().max() < 1e-3 * logits.std() + 1e-4


@each_network
def test_every_parameter_learns(name: str, encoder: str, args: dict[str, Any]) -> None:
    network = build(name, encoder, args).train()
    for module in network.modules():  # score layers start at zero, and then pass nothing on
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
        if isinstance(module, nn.BatchNorm2d):  # nor do residual branches whose last norm starts at zero
            nn.init.ones_(module.weight)
    labels = torch.randint(0, 4, (2, 64, 96))
    logits = network(torch.randn(2, 3, 64, 96))
    if name == "maskrcnn":
        loss = sum(logits.values())
    elif name == "eomt":
        logits = logits[-1].scores()
        loss = upsample_cross_entropy(logits, labels) + network(torch.randn(2, 3, 64, 96))[-1].classes[..., -1].sum()
    else:
        loss = upsample_cross_entropy(logits, labels, crop=network.window(logits.shape[-2:]))
    loss.backward()
    untrained = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert untrained == []


@each_network
def test_saved_and_loaded_it_is_the_same(name: str, encoder: str, args: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(1)
    built = build_model(name, 4, encoder, model_args=args)
    segmenter = Segmenter(built, ClassSet(("a", "b", "c", "d")), Preprocessing()).to("cpu", "fp32")
    segmenter.save(tmp_path / "model.safetensors")
    again = Segmenter.load(tmp_path / "model.safetensors", "cpu", "fp32")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    first, second = segmenter.predict(image, probabilities=True), again.predict(image, probabilities=True)
    assert first.labels.shape == (50, 70)
    assert np.array_equal(first.probabilities, second.probabilities)


@torch.inference_mode()
def test_the_context_module_starts_as_the_identity() -> None:
    network = build("dilated", "resnet10t", {}).eval()
    scores = network.score(network.features(torch.randn(1, 3, 64, 64))[8])
    assert (scores < 0).any()
    torch.testing.assert_close(network.context(scores), scores.relu())  # of scores above zero, as in the paper


@torch.inference_mode()
def test_the_front_end_alone_is_the_start_of_the_whole() -> None:
    front = build("dilated", "resnet10t", {"dilations": []}).eval()
    whole = build("dilated", "resnet10t", {}).eval()
    report = transplant(front.state_dict(), whole)
    assert {name.split(".")[0] for name in report.left} == {"context"}
    assert not report.unused
    pixels = torch.randn(1, 3, 40, 56)
    torch.testing.assert_close(whole(pixels), front(pixels).relu())


@torch.inference_mode()
def test_segnet_unpools_to_where_the_maxima_were() -> None:
    network = build("segnet", "vgg16", {}).eval()
    features, indices = network.encoder.with_indices(torch.randn(1, 3, 32, 32))
    assert [tuple(i.shape[-2:]) for i in indices] == [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    unpooled = nn.functional.max_unpool2d(features[2], indices[0], 2)
    assert torch.equal(nn.functional.max_pool2d(unpooled, 2), features[2].clamp(min=0))


@pytest.mark.parametrize(
    ("name", "encoder", "args", "words"),
    [
        ("unet", "resnet10t", {"decoder_channels": [8, 8]}, "4 positive numbers"),
        ("unet", "resnet10t", {"last": "nearest"}, "transposed or bilinear"),
        ("unet", "resnet10t", {"upsampling": "keras"}, "upsampling"),
        ("fcn8s", "resnet10t", {"last": "nearest"}, "last cannot be .nearest."),
        ("fcn8s", "resnet10t", {"decoder": "deep"}, "decoder cannot be .deep."),
        ("fcn8s", "resnet10t", {"decoder": "wide", "head_channels": 8}, "head_channels"),
        ("unet", "convnext_atto", {}, "taps at strides 4, 8, 16, 32, not 2"),
        ("segnet", "resnet10t", {}, "segnet has VGG16's pooling indices"),
        ("deeplab", "resnet10t", {"head": "crf"}, "large-fov, aspp or aspp-pool"),
        ("deeplab", "resnet10t", {"output_stride": 5}, "output_stride"),
        ("unet2", "resnet10t", {}, "no model is called 'unet2'; did you mean unet\\? There are"),
    ],
)
def test_refuses(name: str, encoder: str, args: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_model(name, 4, encoder, model_args=args)


@torch.inference_mode()
def test_dilated_vgg_is_torchvision_s_without_its_last_poolings() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.vgg16(weights=None)
    for stride, dropped in ((16, 1), (8, 2)):
        ours = VGG16(fc_channels=4096, output_stride=stride).eval()
        state = theirs.state_dict()
        assert not transplant(state, ours, names_of_vgg16(list(state))).left
        layers: list[nn.Module] = []
        dilation, poolings = 1, 0
        for layer in theirs.features:
            if isinstance(layer, nn.MaxPool2d):
                poolings += 1
                if poolings > 5 - dropped:
                    dilation *= 2
                    continue
            if isinstance(layer, nn.Conv2d):
                wider = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=dilation, dilation=dilation)
                wider.load_state_dict(layer.state_dict())
                layers.append(wider)
            else:
                layers.append(layer)
        pixels = torch.randn(1, 3, 64, 96)
        features = nn.Sequential(*layers)(pixels)
        fc6, fc7 = theirs.classifier[0], theirs.classifier[3]
        hidden = F.conv2d(features, fc6.weight.view(4096, 512, 7, 7), fc6.bias, padding=3 * dilation, dilation=dilation)
        expected = F.conv2d(hidden.relu(), fc7.weight[:, :, None, None], fc7.bias).relu()
        found = ours(pixels)
        assert sorted(found) == [2, 4, 8, 16][: 5 - dropped]
        torch.testing.assert_close(found[stride], expected, rtol=1e-3, atol=1e-4)
        assert ours.coordinates[stride] == same_map(stride)


def test_what_cannot_be_dilated_says_so() -> None:
    with pytest.raises(UsageError, match="output_stride must be 32"):
        build_model("fcn32s", 3, "vgg16", encoder_args={"output_stride": 4})
    with pytest.raises(UsageError, match="with padding: same"):
        build_model("dilated", 3, "vgg16", encoder_args={"padding": "paper"})


def test_the_context_module_changes_nothing_at_first_over_vgg16() -> None:
    built = build_model("dilated", 3, "vgg16", encoder_args={"fc_channels": 32})
    assert built.network.eval()(torch.randn(1, 3, 40, 40)).shape == (1, 3, 5, 5)
    assert "fc6.weight" in built.network.encoder.state_dict()
    assert not any("fc6" in name for name in build_model("deeplab", 3, "vgg16").network.encoder.state_dict())


@torch.inference_mode()
def test_segnet_starts_from_vgg16_with_norms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.vgg16_bn(weights=None).eval()
    for module in theirs.features:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.Conv2d):
            module.bias.normal_()
    torch.save(theirs.state_dict(), tmp_path / "vgg16_bn.pth")
    built = build_model("segnet", 3, "vgg16", str(tmp_path / "vgg16_bn.pth"))
    pixels = torch.randn(1, 3, 64, 64)
    found = built.network.eval().encoder(pixels)[32]
    torch.testing.assert_close(found, theirs.features(pixels), rtol=1e-3, atol=1e-4)
    with pytest.raises(UsageError, match="a VGG16 with norms"):
        build_model("fcn8s", 3, "vgg16", str(tmp_path / "vgg16_bn.pth"), encoder_args={"fc_channels": 8})
    plain = torchvision.models.vgg16(weights=None).state_dict()
    torch.save(plain, tmp_path / "vgg16.pth")
    assert "13 copied" in build_model("segnet", 3, "vgg16", str(tmp_path / "vgg16.pth")).notes[0]
    torch.save({k: v for k, v in plain.items() if not k.startswith("features.28")}, tmp_path / "part.pth")
    with pytest.raises(UsageError, match="12 of VGG16's 13 convolutions"):
        build_model("segnet", 3, "vgg16", str(tmp_path / "part.pth"))


def test_numbers_with_an_exponent_are_numbers_in_lists_too() -> None:
    config = TrainConfig.load(None, {"model_args": {"skip-scales": "[1,1e-2,1e-4]"}})
    assert config.model_args == {"skip_scales": [1, 0.01, 0.0001]}
    with pytest.raises(UsageError, match=r"skip_scales cannot be .*; expected a list of numbers"):
        build_model("fcn8s", 3, "resnet10t", model_args={"skip_scales": ["a", "b", "c"]})
