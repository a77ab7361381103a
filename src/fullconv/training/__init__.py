"""Config -> run folder. Names are imported on first use: the command line reads the options without torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullconv.training.config import TrainConfig
    from fullconv.training.run import Run
    from fullconv.training.start import train

_HOMES = {"Run": "run", "TrainConfig": "config", "train": "start"}

__all__ = ["Run", "TrainConfig", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fullconv.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fullconv.training.{_HOMES[name]}"), name)
