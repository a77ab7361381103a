"""Which kernels run: the device's own, or those that ``FULLCONV_OPS`` names."""

from __future__ import annotations

import importlib.util
import os
from typing import Protocol

import torch
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import reference, strips
from fullconv.ops.terms import SoftmaxSums, SoftmaxTerms

VARIABLE = "FULLCONV_OPS"
NAMES = ("reference", "strips", "cpu", "triton")


class Backend(Protocol):
    """What every backend computes; :mod:`fullconv.ops.reference` says it in the plainest PyTorch."""

    def softmax_sums(self, logits: Tensor, labels: Tensor, terms: SoftmaxTerms, /) -> SoftmaxSums:
        """Summed softmax loss of the enlarged logits and its divisor, and the gradient where ``terms`` asks for it."""

    def argmax(
        self, logits: Tensor, size: tuple[int, int], window: Window, align_corners: bool, confidence: bool, /
    ) -> tuple[Tensor, Tensor | None]:
        """Labels ``n H W`` (uint8, or int32 above 256 classes) and, if wanted, the probability of each, float32."""

    def confusion(
        self, prediction: Tensor, target: Tensor, classes: int, ignore_index: int, /
    ) -> tuple[Tensor, list[int]]:
        """int64 counts ``[classes, classes]``, rows the truth, and what lies outside: ``[targets outside, one of them,
        predictions outside, one of them]``."""


def backend_for(tensor: Tensor) -> Backend:
    """The backend for tensors like this one.

    Raises:
        ValueError: as :func:`backend_name`.
    """
    name = backend_name(tensor)
    if name == "cpu":  # each is imported when first wanted: numba and triton take a second
        from fullconv.ops.cpu import run as cpu

        return cpu
    if name == "triton":
        from fullconv.ops.triton import run as triton

        return triton
    return strips if name == "strips" else reference


def backend_name(tensor: Tensor) -> str:
    """``triton`` for CUDA, ``cpu`` (numba) for the processor, ``strips`` (PyTorch) for float64 and any other device.

    ``FULLCONV_OPS=reference|strips|cpu|triton`` forces one.

    Raises:
        ValueError: ``FULLCONV_OPS`` names none of them.
    """
    name = os.environ.get(VARIABLE) or _natural(tensor)
    if name not in NAMES:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(NAMES)}, found {name!r}; unset it to choose by device")
    return name


def _natural(tensor: Tensor) -> str:
    if tensor.dtype == torch.float64:
        return "strips"
    if tensor.device.type == "cpu":
        return "cpu"
    if tensor.device.type == "cuda" and importlib.util.find_spec("triton") is not None:
        return "triton"
    return "strips"
