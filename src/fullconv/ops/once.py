"""Gradients that have no gradient of their own: asked for one, they say so instead of giving a wrong one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def only_once(gradient: Tensor, ctx: Any) -> Tensor:
    """The gradient, such that a derivative of it is refused, not left out: our kernels do not take it.

    ``torch.autograd.function.once_differentiable`` refuses only where the outer gradient wants one too.

    Args:
        gradient: of the logits, which are the second tensor that ``ctx`` saved.
    """
    if not torch.is_grad_enabled():  # nobody asked for create_graph
        return gradient
    once: Tensor = _Once.apply(gradient.detach(), ctx.saved_tensors[1])
    return once


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, logits: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise RuntimeError(
            "fullconv.ops has no second derivatives; FULLCONV_OPS=reference takes those of the softmax losses"
        )
