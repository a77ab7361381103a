"""Layers whose gradients fullconv computes itself on a CPU, beside PyTorch's own, and what a training step gains.

    python benchmarks/layers.py [--threads 1] [--rounds 7]

Processor time, so that other work on the machine counts for little; ratios of neighbouring measurements, theirs / ours:
median (least to greatest).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from fullconv.freed import keep_freed_memory
from fullconv.models import build_model, cpu_bf16, quick_norm
from fullconv.models.cpu_bf16 import careful_convolutions
from fullconv.models.quick_norm import quicken_norms
from fullconv.ops import upsample_cross_entropy

DEPTHWISE = ((5, 144, 88, 120, 1), (5, 240, 44, 60, 1), (5, 672, 22, 30, 1), (5, 144, 88, 120, 2), (3, 96, 176, 240, 2),
             (3, 96, 176, 240, 1), (7, 96, 88, 120, 1))  # fmt: skip
NORMS = ((96, 176, 240), (32, 176, 240), (144, 88, 120), (384, 22, 30))
ENCODERS = ("mobilenetv2_100", "tf_efficientnet_lite0", "tf_efficientnet_lite2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    for dtype in (torch.bfloat16, torch.float32):
        kind = str(dtype).removeprefix("torch.")
        for kernel, channels, height, width, stride in DEPTHWISE:
            layer = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False).to(dtype)
            x = images(channels, height, width, dtype)
            step = there_and_back(layer, x)
            what = f"{kind} {kernel}x{kernel} depthwise, stride {stride}, {channels} x {height}x{width}"
            print(what, compare(lambda step=step: careful(step), step, options.rounds), sep=" | ", flush=True)
        for channels, height, width in NORMS:
            plain = BatchNormAct2d(channels, act_layer=nn.ReLU6)
            quick = copy.deepcopy(plain)
            quicken_norms(quick)
            x = images(channels, height, width, dtype)
            pair = there_and_back(quick, x), there_and_back(plain, x)
            what = f"{kind} batch norm, ReLU6, {channels} x {height}x{width}"
            print(what, compare(*pair, options.rounds), sep=" | ", flush=True)
    for encoder in ENCODERS:
        step = training_step(encoder)
        what = f"step of FCN-4s on {encoder}, 8 x 352x480, bf16"
        print(what, compare(step, lambda step=step: as_pytorch(step), options.rounds), sep=" | ", flush=True)


def images(channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
    x = torch.randn(8, channels, height, width).to(dtype).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_()


def there_and_back(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    outer = torch.randn_like(layer(x).detach())

    def step() -> None:
        torch.autograd.grad(layer(x), [x, *layer.parameters()], outer)

    return step


def training_step(encoder: str) -> Callable[[], None]:
    built = build_model("fcn8s", 11, encoder, model_args={"streams": [32, 16, 8, 4], "head_channels": 64})
    network = built.network.train().to(memory_format=torch.channels_last)
    x = torch.randn(8, 3, 352, 480).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 11, (8, 352, 480))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        network.zero_grad()
        upsample_cross_entropy(logits, labels, crop=network.window(logits.shape[-2:], (352, 480))).backward()

    return step


def careful(step: Callable[[], None]) -> None:
    with careful_convolutions():
        step()


def as_pytorch(step: Callable[[], None]) -> None:
    """The step with PyTorch's gradients of depthwise convolutions and PyTorch's batch norms."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(cpu_bf16, "is_slow", return_value=False))
        stack.enter_context(mock.patch.object(quick_norm, "_suits", return_value=False))
        step()


def compare(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> str:
    ours()
    theirs()
    times = [[seconds(which) for which in (ours, theirs)] for _ in range(rounds)]
    ratios = [slow / quick for quick, slow in times]
    quick, slow = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    return f"{quick:.1f} | {slow:.1f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def seconds(function: Callable[[], None]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
