from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fullconv.models import build_model, cpu_bf16
from fullconv.models.cpu_bf16 import careful_convolutions, is_trusted

ROOT = Path(__file__).parents[2]


def gradients(layer: nn.Module, x: torch.Tensor, outer: torch.Tensor) -> list[torch.Tensor]:
    """Output, gradient of the input, of the weights and of the bias, as float32."""
    x = x.clone().requires_grad_()
    found = layer(x)
    layer.zero_grad()
    found.backward(outer)
    return [value.float() for value in (found.detach(), x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize(
    ("kernel", "dilation", "padding", "size"),
    [
        (5, 4, 8, (31, 47)),
        (3, 8, 8, (20, 9)),
        (5, 4, "same", (3, 2)),
        ((3, 5), (2, 6), (2, 12), (9, 14)),
        (3, 9, 9, (1, 1)),
    ],
)
def test_depthwise_convolutions_with_wide_padding_go_by_the_phases_of_the_grid(
    kernel: Any, dilation: Any, padding: Any, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(12, 12, kernel, 1, padding, dilation, 12)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.bfloat16())
    x = torch.randn(2, 12, *size).bfloat16().float()
    outer = torch.randn(layer(x).shape).bfloat16().float()
    expected = gradients(layer, x, outer)
    dilated = Dilated()
    with dilated, careful_convolutions():
        for found, exact in zip(gradients(layer, x, outer), expected, strict=True):
            torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), expected[0], rtol=1e-5, atol=1e-5)
            found = layer.bfloat16()(x.bfloat16()).float()
        assert (found - expected[0]).abs().max() <= 0.02 * expected[0].abs().max()
    assert dilated.seen == 0


class Dilated(TorchDispatchMode):
    """Counts dilated convolutions that reach PyTorch."""

    seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.seen += max(args[5]) > 1
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("channels", "groups", "dilation", "kernel", "padding", "size"),
    [
        (64, 64, 2, 3, 2, (45, 60)),
        (21, 1, 16, 3, 16, (45, 60)),
        (24, 1, 2, 5, 4, (31, 47)),
        (48, 48, 4, 3, 4, (5, 3)),
        (8, 8, 3, 3, 3, (1, 1)),
        (8, 1, (2, 3), 2, (2, 0), (9, 8)),
        (8, 1, 2, 3, 1, (9, 8)),
        (8, 1, 2, 3, "same", (9, 8)),
        (8, 1, 3, 2, "same", (9, 8)),
    ],
)
def test_gradients_of_dilated_convolutions_in_bf16_are_those_of_fp32(
    channels: int, groups: int, dilation: Any, kernel: int, padding: Any, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, channels, kernel, 1, padding, dilation, groups)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.bfloat16())
    x = torch.randn(4, channels, *size).bfloat16().float().contiguous(memory_format=torch.channels_last)
    outer = torch.randn(layer(x).shape).bfloat16().float().contiguous(memory_format=torch.channels_last)
    expected = gradients(layer, x, outer)
    with careful_convolutions():
        assert all(torch.equal(a, b) for a, b in zip(gradients(layer, x, outer), expected, strict=True))  # fp32
        for found, exact in zip(gradients(layer.bfloat16(), x.bfloat16(), outer.bfloat16()), expected, strict=True):
            assert (found - exact).abs().max() <= 0.02 * exact.abs().max()


@pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="this processor does not compute in bf16")
@pytest.mark.parametrize("instructions", ["AVX512_CORE_AMX", "AVX512_CORE_BF16"])
def test_every_convolution_in_bf16_is_that_of_fp32(instructions: str) -> None:
    report = run_sweep(0, 500, instructions)
    assert report["trusted"] > 100
    assert report["others"] > 100
    assert report["wrong"] == [], "is_trusted lets through what this PyTorch computes wrongly"
    if not report["plain wrong"]:
        pytest.skip(f"is_trusted may be narrowed: this PyTorch is right in all {report['plain']} cases outside it")


def run_sweep(seed: int, cases: int, instructions: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.models.bf16_sweep", str(seed), str(cases)]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the sweep ended with {done.returncode}: {done.stderr[-2000:]}"
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("layer", "size", "trusted"),
    [
        (nn.Conv2d(16, 16, 3, 1, 1), (3, 3), True),
        (nn.Conv2d(16, 16, 3, 1, 1), (2, 3), False),
        (nn.Conv2d(16, 16, 7, 1, 3), (2, 3), False),
        (nn.Conv2d(16, 16, 3, 2, 1), (1, 1), False),
        (nn.Conv2d(16, 16, 3, 2, 1), (4, 4), True),
        (nn.Conv2d(16, 16, 3, 2, 1), (4, 2), False),
        (nn.Conv2d(16, 16, 1), (1, 1), True),
        (nn.Conv2d(16, 16, 1, 2), (2, 2), False),
        (nn.Conv2d(16, 16, 1, (2, 1)), (12, 30), False),
        (nn.ConvTranspose2d(16, 16, 3, 2, 1), (1, 1), False),
        (nn.ConvTranspose2d(16, 16, 4, 2, 1), (2, 2), True),
        (nn.Conv1d(16, 16, 3, 1, 1), (8,), True),
        (nn.Conv1d(16, 16, 3, 1, 1), (2,), False),
        (nn.Conv3d(4, 4, 3, 1, 1), (3, 3, 2), False),
    ],
)
def test_what_is_not_trusted_is_computed_in_fp32(
    layer: nn.Module, size: tuple[int, ...], trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []

    def watch(*arguments: Any) -> bool:
        answers.append(is_trusted(*arguments))
        return answers[-1]

    monkeypatch.setattr(cpu_bf16, "is_trusted", watch)
    x = torch.randn(2, layer.in_channels, *size)
    expected = gradients(layer, x, torch.ones_like(layer(x)))
    with careful_convolutions(), torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert answers == [trusted]
    assert found.dtype == torch.bfloat16
    if not trusted:
        layer.zero_grad()
        found.backward(torch.ones_like(found))
        for parameter, exact in zip(layer.parameters(), expected[2:], strict=True):
            torch.testing.assert_close(parameter.grad, exact)


@pytest.mark.parametrize(
    ("name", "encoder", "args"),
    [
        ("fcn8s", "vgg16", {"fc_channels": 64}),
        ("fcn32s", "seresnet18", {}),
        ("deeplab", "mobilenetv2_050", {}),
        ("dilated", "resnet10t", {}),
        ("fpn", "efficientnet_lite0", {}),
        ("torchvision", "lraspp_mobilenet_v3_large", {}),
        ("torchvision", "deeplabv3_mobilenet_v3_large", {}),
        ("smp", "Unet", {}),
        ("smp", "DeepLabV3Plus", {}),
    ],
)
@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_a_step_of_every_kind_of_network_goes_by_the_rule(
    name: str, encoder: str, args: dict[str, Any], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every convolution that reaches PyTorch in bf16 is one that is trusted."""
    if name == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    model_args = {"encoder_name": "resnet18"} if name == "smp" else None
    network = build_model(name, 3, encoder, encoder_args=args, model_args=model_args).network.train()
    network.to(memory_format=torch.channels_last)
    with Convolutions() as seen, torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(2, 3, *size)).float().square().mean().backward()
    assert seen.trusted > 5
    assert seen.others == []
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


class Convolutions(TorchDispatchMode):
    """Sorts the convolutions in bf16 that PyTorch itself is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.trusted, self.others = 0, []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and args[0].dtype == torch.bfloat16:
            x, weight, _, stride, padding, dilation, transposed = args[:7]
            read, written = x.shape[2:], found.shape[2:]
            if transposed:
                read, written = written, read
            sizes = (weight.shape[2:], stride, padding, dilation, read, written)
            if is_trusted(*map(tuple, sizes)):
                self.trusted += 1
            else:
                self.others.append(sizes)
        return found


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (40, 96)])
def test_gradients_of_a_vgg16_on_small_crops_are_like_those_of_fp32(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build_model("fcn8s", 5, "vgg16", encoder_args={"fc_channels": 128}).network.eval()
    network.to(memory_format=torch.channels_last)
    for name, parameter in network.named_parameters():
        if name.startswith("score"):  # they start from zero, and nothing would reach the encoder
            torch.nn.init.normal_(parameter, std=0.05)
    pixels = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last)
    norms = []
    for bf16 in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            network(pixels).float().square().mean().backward()
        norms.append(torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]))
    torch.testing.assert_close(norms[1], norms[0], rtol=0.1, atol=float(0.01 * norms[0].max()))
