"""From stored bytes to tensors, every size checked before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MOST_TENSORS = 50_000
MOST_DIMENSIONS = 8


def mapped(path: Path) -> memoryview:
    """A file's bytes, mapped into memory; empty for an empty file."""
    return np.memmap(path, np.uint8, "r").data if path.stat().st_size else memoryview(b"")


def tensor(data: memoryview, kind: torch.dtype, shape: Sequence[int]) -> Tensor:
    """A copy of little-endian values.

    Raises:
        ValueError: more or fewer bytes than the shape takes.
    """
    if len(shape) > MOST_DIMENSIONS or any(side < 0 for side in shape):
        raise ValueError(f"a tensor of shape {list(shape)[:MOST_DIMENSIONS]}")
    if math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes for a tensor {kind} {list(shape)}")
    return torch.frombuffer(bytearray(data), dtype=kind).reshape(tuple(shape)) if len(data) else torch.empty(shape)
