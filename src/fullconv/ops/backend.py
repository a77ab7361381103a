"""Which kernels run: the device's own, or those that ``FULLCONV_OPS`` names."""

from __future__ import annotations

import importlib.util
import os
from types import ModuleType

import torch
from torch import Tensor

VARIABLE = "FULLCONV_OPS"
NAMES = ("reference", "strips", "cpu", "triton")


def backend_for(tensor: Tensor) -> ModuleType:
    """The module with ``softmax_sums``, ``argmax`` and ``confusion`` for tensors like this one.

    ``triton`` for CUDA, ``cpu`` (numba) for the processor, ``strips`` (PyTorch) for float64 and any other device.
    ``FULLCONV_OPS=reference|strips|cpu|triton`` forces one.

    Raises:
        ValueError: ``FULLCONV_OPS`` names none of them.
    """
    name = os.environ.get(VARIABLE) or _natural(tensor)
    if name not in NAMES:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(NAMES)}, found {name!r}; unset it to choose by device")
    if name == "cpu":
        import fullconv.ops.cpu.run as module
    elif name == "triton":
        import fullconv.ops.triton.run as module  # type: ignore[no-redef]
    elif name == "strips":
        import fullconv.ops.strips as module  # type: ignore[no-redef]
    else:
        import fullconv.ops.reference as module  # type: ignore[no-redef]
    return module


def _natural(tensor: Tensor) -> str:
    if tensor.dtype == torch.float64:
        return "strips"
    if tensor.device.type == "cpu":
        return "cpu"
    if tensor.device.type == "cuda" and importlib.util.find_spec("triton") is not None:
        return "triton"
    return "strips"
