"""Batch norm over the whole batch of several processes (``--sync-batch-norm``)."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def share_statistics(network: nn.Module, device: torch.device) -> None:
    """Let every batch norm of a network, in place, take mean and variance over the images of all processes.

    On a GPU these become PyTorch's ``SyncBatchNorm``, which refuses a CPU; there each keeps its kind and computes the
    same in plain PyTorch. Names of parameters stay.
    """
    if device.type == "cuda":
        for name, child in list(network.named_children()):
            setattr(network, name, convert_sync_batchnorm(child))
        return
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.forward = MethodType(_shared, module)  # type: ignore[method-assign]


class _Summed(torch.autograd.Function):
    """The sum over processes. Each adds to everyone's result, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Tensor:
        total = outer[0].clone()
        torch.distributed.all_reduce(total)
        return total


def _shared(norm: _BatchNorm, x: Tensor) -> Tensor:
    """``forward`` of a batch norm; running statistics move as PyTorch's do, with the unbiased variance."""
    if not norm.training:  # frozen: by the running statistics
        return type(norm).forward(norm, x)
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    wide = x.float()
    own = wide.new_full((1,), x.numel() / x.shape[1])
    total = _Summed.apply(torch.cat([wide.sum(axes), own]))
    mean, count = total[:-1] / total[-1], total[-1].detach()
    centred = wide - mean.view(shape)
    variance = _Summed.apply(centred.square().sum(axes)) / count
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        norm.num_batches_tracked += 1
        share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.detach(), share)
        norm.running_var.lerp_(variance.detach() * count / (count - 1), share)
    y = centred * torch.rsqrt(variance + norm.eps).view(shape)
    if norm.affine:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    y = y.to(x.dtype)
    return norm.act(norm.drop(y)) if isinstance(norm, BatchNormAct2d) else y
