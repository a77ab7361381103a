from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fullconv.errors import UsageError
from fullconv.models import FCN, VGG16, build_model, transplant
from fullconv.ops import bilinear_kernel, upsample, upsample_argmax

NETWORKS = [
    ("fcn32s", "resnet18", {}),
    ("fcn16s", "mobilenetv2_050", {}),
    ("fcn8s", "convnext_atto", {"head_channels": 8}),
    ("fcn4s", "resnet18", {"upscore": "fixed"}),
    ("fcn8s", "vgg16", {"skip_scales": (1, 1e-2, 1e-4)}),
    ("fcn8s", "resnet18", {"last": "transposed"}),
]
SMALL_VGG = {"fc_channels": 16}


def make(name: str, encoder: str, model_args: dict, encoder_args: dict | None = None, in_channels: int = 3) -> Any:
    args = {**(SMALL_VGG if encoder == "vgg16" else {}), **(encoder_args or {})}
    return build_model(name, 4, encoder, "none", in_channels, args, model_args).network


@pytest.mark.parametrize(("name", "encoder", "model_args"), NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (7, 65), (50, 33), (64, 96)])
def test_any_size_in_the_same_size_out(name: str, encoder: str, model_args: dict, size: tuple[int, int]) -> None:
    network = make(name, encoder, model_args).eval()
    logits = network(torch.randn(2, 3, *size))
    window = network.window(logits.shape[-2:])
    assert logits.shape[:2] == (2, 4)
    assert upsample_argmax(logits, size, crop=window).shape == (2, *size)
    assert window.top + size[0] <= window.height
    assert window.left + size[1] <= window.width


@pytest.mark.parametrize(("name", "encoder", "model_args"), NETWORKS)
def test_it_starts_undecided_and_every_trainable_parameter_learns(name: str, encoder: str, model_args: dict) -> None:
    network = make(name, encoder, model_args).train()
    assert network(torch.randn(2, 3, 64, 64)).abs().max() == 0  # zero score layers
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    labels = torch.randint(0, 4, (2, 64, 64))
    for _ in range(4):  # at first only the score layers have a gradient, then layers before timm's zeroed norms
        optimizer.zero_grad()
        logits = network(torch.randn(2, 3, 64, 64))
        F.cross_entropy(upsample(logits, (64, 64), network.window(logits.shape[-2:])), labels).backward()
        optimizer.step()
    still = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert still == []
    fixed = [n for n, p in network.named_parameters() if not p.requires_grad]
    assert fixed == ([f"upscore.{s}.weight" for s in (16, 8, 4)] if model_args.get("upscore") == "fixed" else [])


def test_parameters_are_named_by_stride_so_that_fcn32s_starts_fcn16s() -> None:
    coarse, fine = make("fcn32s", "resnet18", {}), make("fcn16s", "resnet18", {})
    heads = {n for n in fine.state_dict() if not n.startswith("encoder.")}
    assert heads == {"score.32.weight", "score.32.bias", "score.16.weight", "score.16.bias", "upscore.16.weight"}
    assert set(coarse.state_dict()) < set(fine.state_dict())


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_image_channels(channels: int) -> None:
    for encoder in ("resnet18", "vgg16"):
        network = make("fcn32s", encoder, {}, in_channels=channels).eval()
        assert network(torch.randn(1, channels, 40, 40)).shape[:2] == (1, 4)


class CaffeFCN(nn.Module):
    """The published FCN-32s/16s/8s layer by layer, with its constant crops: the oracle for ours."""

    def __init__(self, network: FCN, streams: int) -> None:
        super().__init__()
        self.encoder, self.score, self.upscore, self.streams = network.encoder, network.score, network.upscore, streams

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.encoder(image)
        height, width = image.shape[-2:]

        def up(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
            return F.conv_transpose2d(x, weight, stride=stride)

        def last(x: torch.Tensor, stride: int, crop: int) -> torch.Tensor:
            learned = self.upscore["1"].weight if "1" in self.upscore else None
            full = up(x, bilinear_kernel(4, 4, 2 * stride) if learned is None else learned, stride)
            return full[:, :, crop : crop + height, crop : crop + width]

        x = self.score["32"](features[32])
        if self.streams == 1:
            return last(x, 32, 19)
        x = up(x, self.upscore["16"].weight, 2)
        x = x + self.score["16"](features[16])[:, :, 5 : 5 + x.shape[2], 5 : 5 + x.shape[3]]
        if self.streams == 2:
            return last(x, 16, 27)
        x = up(x, self.upscore["8"].weight, 2)
        x = x + self.score["8"](features[8])[:, :, 9 : 9 + x.shape[2], 9 : 9 + x.shape[3]]
        return last(x, 8, 31)


@pytest.mark.parametrize(("name", "streams"), [("fcn32s", 1), ("fcn16s", 2), ("fcn8s", 3)])
@pytest.mark.parametrize("size", [(97, 130), (64, 64), (20, 45)])
def test_pad_100_equals_the_published_network(name: str, streams: int, size: tuple[int, int]) -> None:
    network = make(name, "vgg16", {}, encoder_args={"padding": "paper"}).eval()
    for layer in network.score.values():
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    image = torch.randn(1, 3, *size)
    expected = CaffeFCN(network, streams)(image)
    logits = network(image)
    got = upsample(logits, size, network.window(logits.shape[-2:]))
    assert got.shape == expected.shape
    # FCN-32s differs where its deconvolution fades into the zeros outside the map: within 16 - 3 pixels of the
    # border, by a factor common to all classes, so that the label is the same
    inside = slice(16, -16) if streams == 1 else slice(None)
    torch.testing.assert_close(got[..., inside, inside], expected[..., inside, inside], rtol=1e-4, atol=1e-5)
    assert (got.argmax(1) == expected.argmax(1)).float().mean() > 0.999


@pytest.mark.parametrize(("name", "streams"), [("fcn32s", 1), ("fcn16s", 2), ("fcn8s", 3)])
@pytest.mark.parametrize("size", [(97, 130), (20, 45)])
def test_a_learned_last_layer_is_the_published_deconvolution_to_the_border(
    name: str, streams: int, size: tuple[int, int]
) -> None:
    network = make(name, "vgg16", {"last": "transposed"}, encoder_args={"padding": "paper"}).eval()
    for layer in (*network.score.values(), network.upscore["1"]):
        nn.init.normal_(layer.weight, std=0.1)
    image = torch.randn(1, 3, *size)
    logits = network(image)
    got = upsample(logits, size, network.window(logits.shape[-2:]))
    torch.testing.assert_close(got, CaffeFCN(network, streams)(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("streams", [(32,), (32, 16), (32, 16, 8), (32, 16, 8, 4), (16, 2)])
@pytest.mark.parametrize("size", [(96, 160), (75, 101)])
@torch.inference_mode()
def test_a_learned_last_layer_starts_as_the_fixed_one(streams: tuple[int, ...], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    fixed = make("fcn8s", "resnet18", {"streams": streams}).eval()
    for layer in fixed.score.values():
        nn.init.normal_(layer.weight)
    learned = make("fcn8s", "resnet18", {"streams": streams, "last": "transposed"}).eval()
    report = transplant(fixed.state_dict(), learned)
    assert (list(report.left), report.unused) == (["upscore.1.weight"], [])
    stride, image = streams[-1], torch.randn(1, 3, *size)
    assert learned.upscore["1"].weight.shape == (4, 4, 2 * stride, 2 * stride)
    coarse, full = fixed(image), learned(image)
    assert (learned.stride, fixed.stride) == (1, stride)
    assert full.shape[-2:] == tuple(stride * side for side in coarse.shape[-2:])
    assert learned.window(full.shape[-2:]) == fixed.window(coarse.shape[-2:]) == (0, 0, *full.shape[-2:])
    expected = upsample(coarse, full.shape[-2:])
    inside = slice(stride // 2, -(stride // 2))
    torch.testing.assert_close(full[..., inside, inside], expected[..., inside, inside], rtol=1e-5, atol=1e-5)


def test_a_learned_last_layer_learns_across_classes() -> None:
    network = make("fcn8s", "resnet18", {"last": "transposed"}).train()
    for layer in network.score.values():
        nn.init.normal_(layer.weight)
    labels = torch.randint(0, 4, (2, 64, 96))
    F.cross_entropy(network(torch.randn(2, 3, 64, 96)), labels).backward()
    gradient = network.upscore["1"].weight.grad
    assert gradient.shape == (4, 4, 16, 16)
    assert (gradient.abs().sum((2, 3)) > 0).all()  # from each class to each
    assert all(p.grad is not None and p.grad.any() for n, p in network.named_parameters() if n.startswith("score"))


def test_the_wide_decoder_layer_by_layer() -> None:
    """Seed 004's: scores widened to 512 channels plus pool4, to 256 plus pool3, and to the classes at full size."""
    network = build_model(
        "fcn8s", 2, "vgg16", encoder_args={"fc_channels": 4096, "dropout": 0.25}, model_args={"decoder": "wide"}
    ).network
    shapes = {n: tuple(p.shape) for n, p in network.named_parameters() if not n.startswith("encoder.")}
    assert shapes == {
        "score.32.weight": (2, 4096, 1, 1), "score.32.bias": (2,),
        "upscore.16.weight": (2, 512, 4, 4), "upscore.16.bias": (512,),
        "upscore.8.weight": (512, 256, 4, 4), "upscore.8.bias": (256,),
        "upscore.1.weight": (256, 2, 16, 16), "upscore.1.bias": (2,),
    }  # fmt: skip
    assert sum(math.prod(shape) for shape in shapes.values()) == 2_253_572
    assert all(not p.any() for n, p in network.named_parameters() if n.startswith(("score", "upscore")) and "bias" in n)
    limit = (6 / (16 * (512 + 256))) ** 0.5  # Glorot's uniform
    assert 0.99 * limit < network.upscore["8"].weight.abs().max() <= limit
    image = torch.randn(1, 3, 160, 96)
    with torch.inference_mode():
        taps = network.eval().encoder(image)
        x = F.conv2d(taps[32], network.score["32"].weight, network.score["32"].bias)
        for stride, padding, factor in ((16, 1, 2), (8, 1, 2), (1, 4, 8)):
            up = network.upscore[str(stride)]
            x = F.conv_transpose2d(x, up.weight, up.bias, factor, padding) + (taps[stride] if stride > 1 else 0)
        assert x.shape == (1, 2, 160, 96)
        torch.testing.assert_close(network(image), x, rtol=1e-4, atol=1e-4)


def test_windows_of_the_padded_network() -> None:
    """The paper's final crops, less the half kernel by which a deconvolution starts earlier than interpolation."""
    for name, crop, stride in (("fcn32s", 19, 32), ("fcn16s", 27, 16), ("fcn8s", 31, 8)):
        network = make(name, "vgg16", {}, encoder_args={"padding": "paper"})
        assert network.window((4, 4)).top == crop - stride // 2


def test_vgg16_same_lies_on_the_image_grid() -> None:
    encoder = VGG16(fc_channels=4)
    for stride, mapped in encoder.coordinates.items():
        assert (mapped.scale, mapped.offset * 2) == (stride, stride - 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fcn9s", 4), "no model is called 'fcn9s'"),
        (("fcn8s", 4, "resnet35"), "did you mean"),
        (("fcn8s", 4, "levit_128"), "not 8; choose another"),
        (("fcn8s", 4, "resnet18", "none", 3, {"nonsense": 1}), "encoder_args"),
        (("fcn8s", 4, "vgg16", "none", 3, {"nonsense": 1}), "encoder_args"),
        (("fcn8s", 4, "resnet18", "none", 3, {}, {"nonsense": 1}), "model_args"),
        (("fcn8s", 4, "resnet18", "none", 3, {}, {"streams": (8, 16)}), "coarse to fine"),
        (("fcn8s", 4, "vgg16", "none", 3, {"fc_channels": 4}, {"streams": (64, 32)}), "taps at strides .*, not 64"),
        (("fcn8s", 4, "resnet18", "none", 3, {}, {"skip_scales": (1,)}), "skip scale"),
        (("fcn8s", 4, "resnet18", "none", 3, {}, {"upscore": "magic"}), "upscore"),
        (("fcn8s", 4, "resnet18", "none", 3, {}, {"head_channels": -3}), "head_channels"),
        (("fcn8s", 4, "vgg16", "none", 3, {"padding": "papr"}), "same or paper"),
        (("fcn8s", 4, "cait_xxs24_224"), "images of any size"),
    ],
)
def test_build_model_refuses(arguments: tuple, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_model(*arguments)
