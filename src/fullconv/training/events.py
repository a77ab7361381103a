"""Figures of every epoch for tensorboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Events:
    """Tensorboard's event files in a folder, begun with the first row. Without tensorboard it writes none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def write(self, row: Mapping[str, float]) -> str:
        """Write an epoch's figures, by their names; its number is the step.

        Returns:
            What a user should know: once, that tensorboard is not installed; else nothing.
        """
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._writer = False
                return "tensorboard is not installed, so no events are written; pip install 'fullconv[tensorboard]'"
            self._writer = SummaryWriter(self.folder)
        if self._writer:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, row["epoch"])
            self._writer.flush()
        return ""

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        self._writer = None
