"""How long a step takes on this machine: measured, with the network and the sizes in question."""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass

import torch

from fullconv.device import autocast, choose_precision
from fullconv.errors import UsageError
from fullconv.models import build_model
from fullconv.models.network import SegmentationNetwork, place
from fullconv.ops import upsample_argmax, upsample_cross_entropy
from fullconv.training.config import TrainConfig
from fullconv.training.memory import refuse_if_too_large
from fullconv.training.optimisation import MovingAverage, make_optimizer

WARM, TIMED = 1, 3
"""Steps before the clock is looked at (kernels are compiled, memory is taken), and steps that it times."""
LONG = 4.0
"""Seconds of timed steps after which no other is needed."""


@dataclass(frozen=True)
class Cost:
    """What one thing takes in seconds.

    Attributes:
        step: a training step of a whole batch, without reading it.
        label: one image of val: the network and its label map.
    """

    step: float
    label: float


def cost(config: TrainConfig, classes: int, channels: int, size: tuple[int, int], device: torch.device) -> Cost | None:
    """Time steps of a network with random weights on random images; None where a step does not fit into memory.

    Args:
        config: with the network, crop and batch size.
        size: ``(height, width)`` of a val image.

    Raises:
        UsageError: no such network or encoder, or it is of no use as it is.
    """
    with torch.random.fork_rng(devices=[]):
        built = build_model(
            config.model, classes, config.encoder, "none", channels, config.encoder_args, config.model_args
        )  # fmt: skip
        network, crop = built.network, config.crop or size
        precision = choose_precision(config.precision, device)
        place(network, device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                refuse_if_too_large(network, crop, config.batch_size, channels, device, precision)
        except UsageError:
            return None
        step = _step(config, network, classes, channels, crop, device, precision)
        return Cost(step, _label(network, channels, config.resize or size, device, precision))


def _step(
    config: TrainConfig, network: SegmentationNetwork, classes: int, channels: int, crop: tuple[int, int],
    device: torch.device, precision: str,
) -> float:  # fmt: skip
    optimizer = make_optimizer(network, config)
    average = MovingAverage(network, network, config.ema) if config.ema else None
    pixels = torch.randn(config.batch_size, channels, *crop, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    stored = torch.uint8 if classes <= 255 else torch.int32  # as samples are: kernels are compiled for each
    labels = torch.randint(classes, (config.batch_size, *crop), dtype=stored, device=device)
    seconds = []
    network.train()
    for number in range(WARM + TIMED):
        started = _now(device)
        with autocast(device, precision):
            logits = network(pixels)
        window = network.window(logits.shape[-2:], crop)
        loss = upsample_cross_entropy(logits, labels, crop=window, ignore_index=classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if average:
            average.update(number)
        upsample_argmax(logits.detach(), crop, crop=window)
        seconds.append(_now(device) - started)
        if sum(seconds[WARM:]) > LONG:
            break
    return statistics.median(seconds[WARM:])


@torch.no_grad()
def _label(
    network: SegmentationNetwork, channels: int, size: tuple[int, int], device: torch.device, precision: str
) -> float:
    network.eval()
    pixels = torch.randn(1, channels, *size, device=device).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(1 + TIMED):
        started = _now(device)
        with autocast(device, precision):
            logits = network(pixels)
        upsample_argmax(logits, size, crop=network.window(logits.shape[-2:], size))
        seconds.append(_now(device) - started)
    return statistics.median(seconds[1:])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
