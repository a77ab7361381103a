"""Batch norm and the ReLU or ReLU6 after it in one pass, in training on a CPU.

PyTorch's batch norm and clipping of maps in bf16 take a third of a MobileNet's step; the kernels of
:mod:`fullconv.ops.cpu.norm` less than half of that (``benchmarks/README.md``). Names of parameters and buffers,
running statistics and results stay the same, up to the order of sums.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

FEWEST = 1 << 16
"""Numbers of a map below which PyTorch's own is as quick."""
_CLIPS: tuple[tuple[type[nn.Module], float, float], ...] = (
    (nn.Identity, -math.inf, math.inf), (nn.ReLU6, 0.0, 6.0), (nn.ReLU, 0.0, math.inf)
)  # fmt: skip


class QuickBatchNorm(nn.BatchNorm2d):
    """An ``nn.BatchNorm2d``."""

    def forward(self, input: Tensor) -> Tensor:
        if not _suits(self, input):
            return super().forward(input)
        return _normalise(self, input, -math.inf, math.inf)


class QuickBatchNormAct(BatchNormAct2d):
    """timm's batch norm with an activation."""

    def forward(self, x: Tensor) -> Tensor:
        ends = [(low, high) for kind, low, high in _CLIPS if isinstance(self.act, kind)]
        if not ends or not isinstance(self.drop, nn.Identity) or not _suits(self, x):
            plain: Tensor = super().forward(x)
            return plain
        return _normalise(self, x, *ends[0])


def quicken_norms(module: nn.Module) -> None:
    """Let every batch norm below ``module`` compute so, wherever its input allows it."""
    for one in module.modules():
        if type(one) is nn.BatchNorm2d:
            one.__class__ = QuickBatchNorm
        elif type(one) is BatchNormAct2d:
            one.__class__ = QuickBatchNormAct


def _suits(norm: nn.BatchNorm2d, x: Tensor) -> bool:
    return (
        norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and x.device.type == "cpu"
        and x.dtype in (torch.bfloat16, torch.float32)
        and norm.weight.dtype == torch.float32
        and x.ndim == 4
        and x.numel() >= max(FEWEST, 2 * x.shape[1])
        and torch.is_grad_enabled()
        and x.requires_grad
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


def _normalise(norm: nn.BatchNorm2d, x: Tensor, low: float, high: float) -> Tensor:
    y, mean, variance = _Normalise.apply(x, norm.weight, norm.bias, norm.eps, low, high)
    places = x.numel() // x.shape[1]
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        norm.running_mean.lerp_(mean, norm.momentum)  # type: ignore[union-attr,arg-type]
        norm.running_var.lerp_(variance * (places / (places - 1)), norm.momentum)  # type: ignore[union-attr,arg-type]
    return y


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, low: float, high: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        from fullconv.ops.cpu.norm import normalise  # numba takes a second

        y, found = normalise(x, _numbers(weight), _numbers(bias), eps, low, high)
        ctx.save_for_backward(x, weight, bias)
        ctx.told, ctx.found = (eps, low, high), found
        mean, variance = (torch.from_numpy(one).float() for one in (found.mean, found.variance))
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        from fullconv.ops.cpu.norm import gradients

        x, weight, bias = ctx.saved_tensors
        eps, low, high = ctx.told
        if torch.is_grad_enabled():  # a second derivative is wanted: PyTorch has one
            y = F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
            y = y if math.isinf(low) else F.hardtanh(y, low, high)
            return *torch.autograd.grad(y, (x, weight, bias), dy, create_graph=True), None, None, None
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx, d_weight, d_bias = gradients(x, dy, _numbers(weight), _numbers(bias), ctx.found, eps, low, high)
        return dx, torch.from_numpy(d_weight).float(), torch.from_numpy(d_bias).float(), None, None, None


def _numbers(parameter: Tensor) -> np.ndarray:
    numbers: np.ndarray = parameter.detach().double().numpy()
    return numbers
