"""On what, and in what arithmetic, a network runs."""

from __future__ import annotations

import torch

from fullconv.errors import UsageError
from fullconv.machine import free_memory


def choose_device(name: str) -> torch.device:
    """``auto`` is a GPU where there is one.

    Raises:
        UsageError: no such device.
    """
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(
                f"device {name!r} is not to be had here ({str(error).splitlines()[0]}); use cpu"
            ) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(name: str, device: torch.device) -> str:
    """``auto`` is bf16 where the device computes in it at more than fp32's speed, else fp32."""
    if name != "auto":
        if name not in ("bf16", "fp32"):
            raise UsageError(f"precision must be auto, bf16 or fp32, found {name!r}")
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return "fp32"


def free_bytes(device: torch.device) -> int | None:
    """Free memory of the device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() if device.type == "cpu" else None
