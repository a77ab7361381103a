"""On what, and in what arithmetic, a network runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from fullconv.errors import UsageError
from fullconv.machine import free_memory
from fullconv.names import refuse_unknown_precision


def choose_device(name: str) -> torch.device:
    """``auto`` is a GPU where there is one; ``gpu`` is another word for ``cuda``.

    Raises:
        UsageError: no such device.
    """
    if name != "auto":
        try:
            device = torch.device(as_torch_calls_it(name))
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise no_device(name, str(error).splitlines()[0]) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def as_torch_calls_it(name: str) -> str:
    """``gpu`` is ``cuda``, or ``mps`` where there is that alone."""
    kind = "mps" if torch.backends.mps.is_available() and not torch.cuda.is_available() else "cuda"
    return kind + name.removeprefix("gpu") if name.partition(":")[0] == "gpu" else name


def devices_here() -> list[str]:
    """What PyTorch can compute on, by the names that it takes."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def no_device(name: str, why: str = "") -> UsageError:
    """What to raise where a device cannot be had.

    Args:
        why: said of a device that is there.
    """
    here, asked = devices_here(), as_torch_calls_it(name)
    there = any(device == asked or device.partition(":")[0] == asked for device in here)
    found = why if there and why else f"PyTorch finds {', '.join(here)}"
    return UsageError(f"device {name!r} is not available on this machine ({found}); use auto or cpu")


def choose_precision(name: str, device: torch.device) -> str:
    """``auto`` is bf16 where the device computes in it at more than fp32's speed, else fp16 on a GPU with units for it
    (compute capability 7.0), else fp32.

    Raises:
        UsageError: no such precision, or fp16 without a CUDA GPU.
    """
    if name != "auto":
        refuse_unknown_precision(name)
        if name == "fp16" and device.type != "cuda":
            raise UsageError(f"precision fp16 needs a CUDA GPU, found {device.type}; use bf16 or fp32")
        return name
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network computes in ``bf16``, ``fp16`` or ``fp32``."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "fp32")


@contextlib.contextmanager
def computing_threads(count: int | None) -> Iterator[None]:
    """Within it PyTorch and our kernels compute with so many threads (None: as they are); then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of the device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() if device.type == "cpu" else None
