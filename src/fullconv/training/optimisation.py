"""Optimisers with their parameter groups, and learning rates as functions of the step (no scheduler state)."""

from __future__ import annotations

import math

import torch
from torch import nn

from fullconv.models.network import SegmentationNetwork
from fullconv.training.config import TrainConfig

WARM_SHARE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1e-4 / 25


def rate_factor(config: TrainConfig, step: float, total: int, steps_per_epoch: int) -> float:
    """The share of the full rate at a step.

    ``one-cycle`` is PyTorch's ``OneCycleLR`` with its defaults (cosine up from 1/25 over 30 % of the steps, cosine
    down to 1/250000; Smith & Topin, arXiv:1708.07120), without its cycling of the momentum. ``poly`` is
    ``(1 - step / total) ** power``. ``step`` drops by ``step_factor`` every ``step_epochs`` epochs.
    """
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "step":
        return config.step_factor ** (step // steps_per_epoch // config.step_epochs)
    if config.schedule == "poly":
        return (1 - step / total) ** config.poly_power
    peak = WARM_SHARE * total - 1
    if step <= peak:
        return _cosine(ONE_CYCLE_START, 1.0, step / peak)
    return _cosine(1.0, ONE_CYCLE_END, (step - peak) / (total - 1 - peak)) if total - 1 > peak else 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Groups for the encoder (as far as trained weights go) and the layers over it, each with and without weight decay
    (biases and norms have none).

    Each group keeps its full rate under ``"full_rate"``.
    """
    encoder_rate = config.rate if config.encoder_rate is None else config.encoder_rate
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    backbone = network.backbone if isinstance(network, SegmentationNetwork) else nn.Module()
    encoder = {id(parameter) for parameter in backbone.parameters()}
    for parameter in network.parameters():
        in_encoder = id(parameter) in encoder
        if not parameter.requires_grad:
            continue
        if in_encoder and encoder_rate == 0:
            parameter.requires_grad_(False)
            continue
        groups.setdefault((in_encoder, parameter.ndim > 1), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": encoder_rate if in_encoder else config.rate,
            "full_rate": encoder_rate if in_encoder else config.rate,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (in_encoder, decays), parameters in groups.items()
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=config.rate, momentum=config.momentum)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(settings, lr=config.rate)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group to its full rate times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_rate"] * factor


class MovingAverage:
    """The exponential moving average of a network's weights and buffers, in a copy of the network.

    The decay grows with the steps, ``min(decay, (1 + step) / (10 + step))``, so that the start is soon forgotten.
    """

    def __init__(self, network: SegmentationNetwork, average: SegmentationNetwork, decay: float) -> None:
        self.network, self.average, self.decay = network, average, decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        current = self.network.state_dict()
        pairs = [(value, current[name]) for name, value in self.average.state_dict().items()]
        floats = [(a, b) for a, b in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], share)
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)
