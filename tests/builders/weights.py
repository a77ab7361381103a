"""The weights of a run."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

import fullconv


def weights(run: fullconv.Run) -> dict[str, torch.Tensor]:
    return load_file(run.last)
