"""How sure a model is, as a map of bytes: value / 255 is what it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fullconv.files import replacing

STRIP_PIXELS = 1 << 20
"""Turned into bytes at a time."""
Kind = Literal["confidence", "entropy"]
NOTHING: dict[Kind, int] = {"confidence": 0, "entropy": 255}
"""The byte where an image holds nothing; no other pixel has it."""


def to_bytes(kind: Kind, values: np.ndarray) -> np.ndarray:
    """0 to 1 as uint8, ``round(255 * value)``; what would be the byte for nothing becomes the next one."""
    low, high = (1, 255) if kind == "confidence" else (0, 254)
    stored = np.empty(values.shape, np.uint8)
    step = max(1, STRIP_PIXELS // max(values.shape[-1], 1))
    for top in range(0, len(values), step):  # a few rows at a time: they are floats on the way
        rows = slice(top, top + step)
        stored[rows] = np.clip(np.rint(values[rows] * np.float32(255)), low, high)
    return stored


def write_certainty(path: Path, kind: Kind, values: np.ndarray) -> None:
    """Write a map of 0 to 1, ``[height, width]``, as a grey PNG of :func:`to_bytes`."""
    with replacing(path) as temporary:
        Image.fromarray(to_bytes(kind, values)).save(temporary, format="PNG")
