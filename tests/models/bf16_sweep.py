"""Convolutions of every kind in bf16 on this CPU, beside fp32; run as ``python -m tests.models.bf16_sweep SEED CASES``.

Memory that PyTorch hands out is filled with nan first, so that whatever reads what nobody wrote shows. Prints JSON:
how many cases of which kind, which of ours are wrong, and how many plain ones outside the rule are. A process of its
own, because some plain ones end the process, and because oneDNN reads ``ONEDNN_MAX_CPU_ISA`` once.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.models import cpu_bf16

CHANNELS = (1, 3, 4, 8, 16, 17, 21, 32, 48, 64)
KINDS = ("dense", "dense", "grouped", "depthwise", "multiplied")
LIMIT = 0.03
"""Of the largest value; bf16 has 8 bits."""


class Case(NamedTuple):
    transposed: bool
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    more: tuple[int, ...]
    groups: int
    channels: tuple[int, int]
    images: int
    size: tuple[int, ...]
    channels_last: tuple[bool, bool, bool]

    def extents(self) -> list[int]:
        return [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]

    def result(self) -> tuple[int, ...]:
        both = zip(self.size, self.extents(), self.stride, self.padding, self.more, strict=True)
        if self.transposed:
            return tuple((n - 1) * s - 2 * p + e + o for n, e, s, p, o in both)
        return tuple((n + 2 * p - e) // s + 1 for n, e, s, p, _ in both)

    def exists(self) -> bool:
        if min(self.result()) < 1:
            return False
        fits = (n + 2 * p >= e for n, p, e in zip(self.size, self.padding, self.extents(), strict=True))
        return self.transposed or all(fits)

    def trusted(self) -> bool:
        read, written = (self.result(), self.size) if self.transposed else (self.size, self.result())
        return cpu_bf16.is_trusted(self.kernel, self.stride, self.padding, self.dilation, read, written)

    def cost(self) -> int:
        area = max(self.size[0] * self.size[1], self.result()[0] * self.result()[1])
        kernel = self.kernel[0] * self.kernel[1]
        return self.images * area * kernel * self.channels[0] * self.channels[1] // self.groups


def draw(chance: random.Random) -> Case:
    """Any convolution that a network may hold, and some that none does."""
    square = chance.random() < 0.8

    def pair(first: int, choices: tuple[int, ...]) -> tuple[int, int]:
        return first, first if square else chance.choice(choices)

    transposed = chance.random() < 0.25
    kernel = pair(chance.choice((1, 2, 3, 3, 3, 4, 5, 6, 7)), (1, 2, 3, 4, 5, 6, 7))
    stride = pair(chance.choice((1, 1, 1, 2, 2, 3, 4)), (1, 2, 3))
    dilation = pair(chance.choice((1, 1, 1, 1, 2, 3, 12)), (1, 2))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(chance.choice((0, e // 2, e // 2, chance.randrange(e))) for e in extents)
    if square:
        padding = padding[:1] * 2
    more = tuple(chance.randrange(s) if transposed else 0 for s in stride)
    kind = chance.choice(KINDS)
    groups = {"dense": 1, "grouped": chance.choice((2, 3, 8))}.get(kind, chance.choice((2, 8, 16, 17, 48)))
    if kind == "dense":
        channels = chance.choice(CHANNELS), chance.choice(CHANNELS)
    elif kind == "grouped":
        channels = groups * chance.choice((1, 2, 4)), groups * chance.choice((1, 2, 4))
    else:
        channels = groups, groups * (1 if kind == "depthwise" else 2)
    small = chance.random() < 0.75
    size = tuple(chance.randint(1, 8) if small else chance.choice((9, 12, 15, 16, 24, 31)) for _ in "hw")
    last = chance.random() < 0.5, chance.random() < 0.5, chance.random() < 0.5
    return Case(
        transposed, kernel, stride, padding, dilation, more, groups, channels, chance.choice((1, 2, 3, 8)), size, last
    )


def convolve(case: Case, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if case.transposed:
        return F.conv_transpose2d(
            x, weight, bias, case.stride, case.padding, case.more, case.groups, case.dilation
        )  # fmt: skip
    return F.conv2d(x, weight, bias, case.stride, case.padding, case.dilation, case.groups)


def values(case: Case, tensors: list[Tensor], outer: Tensor) -> list[Tensor]:
    """The result and the gradients of input, weights and bias."""
    leaves = [tensor.detach().clone(memory_format=torch.preserve_format).requires_grad_() for tensor in tensors]
    found = convolve(case, *leaves)
    return [found.detach(), *torch.autograd.grad(found, leaves, outer.to(found.dtype))]


def worst(found: list[Tensor], exact: list[Tensor]) -> float:
    """The largest error as a share of the largest value; infinite for nan."""
    errors = [
        float((a.float() - b).abs().max() / b.abs().max().clamp(min=1e-6)) for a, b in zip(found, exact, strict=True)
    ]
    return max(error if error == error else float("inf") for error in errors)


def measure(case: Case, plain: bool) -> tuple[float, float]:
    """The worst error of ours, and of PyTorch's own where it is wanted."""
    inside, outside = case.channels
    shape = (inside, outside // case.groups) if case.transposed else (outside, inside // case.groups)
    tensors = [torch.randn(case.images, inside, *case.size), torch.randn(*shape, *case.kernel), torch.randn(outside)]
    outer = torch.randn(case.images, outside, *case.result())
    tensors, outer = [tensor.bfloat16().float() for tensor in tensors], outer.bfloat16().float()
    layouts = [torch.channels_last if last else torch.contiguous_format for last in case.channels_last]
    tensors[:2] = [x.contiguous(memory_format=y) for x, y in zip(tensors[:2], layouts[:2], strict=True)]
    outer = outer.contiguous(memory_format=layouts[2])
    with torch.backends.mkldnn.flags(enabled=False):
        exact = values(case, tensors, outer)
    with torch.autocast("cpu", torch.bfloat16):
        with cpu_bf16.careful_convolutions():
            ours = worst(values(case, tensors, outer), exact)
            with torch.no_grad():
                ours = max(ours, worst([convolve(case, *tensors)], exact[:1]))
        theirs = worst(values(case, tensors, outer), exact) if plain else 0.0
    return ours, theirs


def poison() -> None:
    """Have PyTorch fill what it allocates with nan (a debugging switch of its own)."""
    library = ctypes.CDLL(str(next((Path(torch.__file__).parent / "lib").glob("libc10.*"))))
    ctypes.c_bool.in_dll(library, "FLAGS_caffe2_cpu_allocator_do_junk_fill").value = True
    if not torch.empty(64).isnan().any():
        raise RuntimeError("memory is not filled")


def sweep(seed: int, cases: int) -> dict[str, Any]:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    report: dict[str, Any] = {"trusted": 0, "others": 0, "plain": 0, "plain wrong": 0, "wrong": []}
    while report["trusted"] + report["others"] < cases:
        case = draw(chance)
        if not case.exists() or case.cost() > 3_000_000:
            continue
        report["trusted" if case.trusted() else "others"] += 1
        plain = not case.trusted() and case.dilation == (1, 1)
        ours, theirs = measure(case, plain)
        report["plain"] += plain
        report["plain wrong"] += theirs > LIMIT
        if ours > LIMIT:
            report["wrong"].append([ours, case.trusted(), case._asdict()])
    return report


if __name__ == "__main__":
    torch.set_num_threads(1)
    poison()
    print(json.dumps(sweep(int(sys.argv[1]), int(sys.argv[2]))))
