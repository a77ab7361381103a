"""Numbers that are not finite (nan, inf): whether there are any, and in which layer they begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from fullconv.errors import ModelFileError, first_few


@torch.no_grad()
def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the floating-point tensors that hold nan or inf, in order."""
    floats = {name: value for name, value in tensors.items() if value.is_floating_point() and value.numel()}
    if bool(get_total_norm(floats.values()).isfinite()):  # a tenth of the time of looking at every value
        return []
    return [name for name, value in floats.items() if not bool(value.isfinite().all())]


def refuse_not_finite(state: Mapping[str, Tensor], origin: object) -> None:
    """Refuse weights that hold nan or inf.

    Raises:
        ModelFileError: they do; it names the first tensors.
    """
    bad = not_finite(state)
    if bad:
        raise ModelFileError(
            f"{origin}: {len(bad)} of {len(state)} tensors hold values that are not finite ({first_few(bad)}): the "
            "training that wrote it went wrong; use an earlier model"
        )


def first_bad_layer(network: nn.Module, forward: Callable[[], object]) -> tuple[str, list[int]] | None:
    """The first layer whose output is not finite, by name, and the images of the batch where it is not.

    Args:
        network: whose layers are watched while ``forward`` runs.
        forward: runs the network once.

    Returns:
        None where every output is finite.
    """
    found: list[tuple[str, list[int]]] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not bool(output.isfinite().all()):
                rows = output.isfinite().reshape(len(output), -1).all(1)
                found.append((name, (~rows).nonzero().flatten().tolist()))

        return hook

    leaves = {name: module for name, module in network.named_modules() if not any(module.children())}
    handles = [module.register_forward_hook(watch(name)) for name, module in leaves.items()]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
