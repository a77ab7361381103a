"""Checks of values, and constants kept on a device: what would otherwise make the host wait for it in every step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from fullconv.ops.terms import bad_label

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 256
"""Constants of one kind that are kept: a training run needs a handful, images of many sizes two each."""


def waits(device: torch.device) -> bool:
    """Whether the host waits for the device when it reads a value from there."""
    return device.type != "cpu"


def asserts(device: torch.device) -> bool:
    """Whether a check is left to the device, which stops with an assertion (Apple's GPUs have none)."""
    return waits(device) and device.type != "mps"


def widened(labels: Tensor) -> Tensor:
    """Labels in a dtype that holds any id: PyTorch would wrap 300 to 44 to compare it with uint8."""
    return labels if labels.dtype in (torch.int32, torch.int64) else labels.int()


def check_labels(labels: Tensor, classes: int, ignore_index: int) -> None:
    """Refuse labels that are no class.

    Raises:
        ValueError: it names the first one, and where it is; on a GPU :func:`assert_labels` instead.
    """
    labels = widened(labels)
    bad = (labels != ignore_index) & ((labels < 0) | (labels >= classes))
    if asserts(labels.device):
        assert_labels(bad.any(), classes, ignore_index)
    elif bool(bad.any()):
        image, row, column = (int(value) for value in bad.nonzero()[0])
        raise bad_label(int(labels[image, row, column]), image, row, column, classes, ignore_index)


def assert_labels(bad: Tensor, classes: int, ignore_index: int) -> None:
    """Let the device stop if ``bad``, a scalar, is not 0."""
    torch._assert_async(bad == 0, f"labels must be 0 to {classes - 1} or {ignore_index} (ignored)")


def check_weights(weight: Tensor) -> None:
    """Refuse class weights below 0 (and nan).

    Raises:
        ValueError: it names the least; on a GPU the device stops with an assertion instead.
    """
    good = (weight >= 0).all()
    if asserts(weight.device):
        torch._assert_async(good, "class weights must be 0 or more")
    elif not bool(good):
        raise ValueError(f"class weights must be 0 or more, found {float(weight.min())}")


def kept(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the tensors that ``make`` gives for each set of arguments, so that they are copied to the device once.

    They are ordinary tensors also when first wanted in inference mode, where autograd could not take them later.
    """

    @functools.lru_cache(KEPT)
    def once(*given: P.args, **named: P.kwargs) -> T:
        with torch.inference_mode(False):
            return make(*given, **named)

    @functools.wraps(make)
    def get(*given: P.args, **named: P.kwargs) -> T:
        if torch.compiler.is_compiling() or (torch._C._len_torch_dispatch_stack() > 0 and _is_fake()):
            return make(*given, **named)  # what is traced is no tensor to keep
        return once(*given, **named)  # type: ignore[arg-type]

    return get


def _is_fake() -> bool:
    from torch._guards import detect_fake_mode

    return detect_fake_mode() is not None


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy of a CPU tensor, without waiting for it where the device is a GPU."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
