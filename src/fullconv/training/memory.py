"""How much memory a training step needs, before it is tried."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from fullconv.device import autocast, free_bytes
from fullconv.errors import UsageError
from fullconv.geometry import round_up
from fullconv.segmenter import Segmenter

PROBE = 64
"""Pixels of a side of the smaller image that is tried; the other's is twice as long."""


def check_memory(segmenter: Segmenter, crop: tuple[int, int], batch: int, device: torch.device) -> None:
    """Move a network to its device, and refuse crops or batches that cannot fit there, before anything is written.

    Args:
        crop: ``(height, width)``.
        batch: images of a step on this device.

    Raises:
        UsageError: they cannot.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refuse_if_too_large(
            segmenter.network.to(device), crop, batch, segmenter.preprocessing.channels, device, segmenter.precision
        )


def refuse_if_too_large(
    network: nn.Module, crop: tuple[int, int], batch: int, channels: int, device: torch.device, precision: str
) -> None:
    """Compare what a step would keep for its backward pass with the memory that is free.

    What is kept of a small and of a larger square image gives a share that grows with the pixels and one that does
    not (weights cast to 16 bits); parameters count four times (value, gradient, two moments).

    Raises:
        UsageError: it cannot fit.
    """
    free = free_bytes(device)
    if free is None:
        return
    need = needed_bytes(network, crop, batch, channels, precision)
    if need > free:
        raise UsageError(
            f"a step on {batch} crops of {crop[0]}x{crop[1]} needs about {need / 2**30:.1f} GiB, "
            f"{free / 2**30:.1f} GiB are free; make --crop or --batch-size smaller"
        )


def needed_bytes(network: nn.Module, crop: tuple[int, int], batch: int, channels: int, precision: str) -> float:
    """Of a step on ``batch`` crops, as :func:`refuse_if_too_large` has it.

    Sizes are those that the network computes with, multiples of what its encoder pads to: two that it pads to one size
    would tell nothing of how memory grows.
    """
    multiple = int(getattr(getattr(network, "encoder", None), "size_multiple", 1))
    side = round_up(PROBE, multiple)
    small, large = (kept_bytes(network, channels, precision, of) for of in (side, 2 * side))
    per_pixel = (large - small) / (3 * side**2)
    constant = max(0.0, small - per_pixel * side**2)
    pixels = round_up(crop[0], multiple) * round_up(crop[1], multiple)
    parameters = sum(4 * p.numel() * p.element_size() for p in network.parameters())
    return parameters + constant + per_pixel * pixels * batch


def kept_bytes(network: nn.Module, channels: int, precision: str, side: int) -> int:
    """Bytes that autograd keeps for one square image, beside the parameters.

    Two are run and halved: batch norm after global pooling refuses one alone.
    """
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    seen: dict[int, int] = {}

    held: list[Tensor] = []  # a freed place would be used, and seen, twice

    def note(tensor: Tensor) -> None:  # returning the tensor would tie the graph to itself for ever, out of gc's sight
        held.append(tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()

    device = next(network.parameters()).device
    was_training = network.training
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    image = torch.zeros(2, channels, side, side, device=device)
    with (
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(note, lambda nothing: nothing),
        autocast(device, precision),
    ):
        kept = network.train()(image)
        total = sum(seen.values())
    del kept
    held.clear()  # the graph knows the hook, which knows what is held
    network.train(was_training)
    for name, value in network.named_buffers():
        value.copy_(buffers[name])
    return total // 2
