"""ReLU6 in place that keeps one copy of its input less for the backward pass.

PyTorch's ``hardtanh_`` clones its input for its gradient. The result tells as much: a value passes its gradient on
where the result lies between 0 and 6.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class LeanReLU6(nn.ReLU6):
    """``nn.ReLU6(inplace=True)``, with the same values and gradients."""

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and input.requires_grad) or input.is_leaf or torch.compiler.is_compiling():
            return super().forward(input)
        clipped: Tensor = _Clip.apply(input)
        return clipped


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        clipped = torch.ops.aten.hardtanh_(input, 0.0, 6.0)
        ctx.mark_dirty(clipped)
        ctx.save_for_backward(clipped)
        return clipped

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (clipped,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.hardtanh_backward(gradient, clipped, 0.0, 6.0)
        return passed


def lean_activations(module: nn.Module) -> None:
    """Replace every in-place ReLU6 below ``module``."""
    for name, child in module.named_children():
        if type(child) is nn.ReLU6 and child.inplace:
            setattr(module, name, LeanReLU6())
        else:
            lean_activations(child)
