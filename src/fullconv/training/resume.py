"""A run that goes on where it stopped."""

from __future__ import annotations

import os
from typing import Any

from fullconv.errors import UsageError
from fullconv.training.config import TrainConfig
from fullconv.training.run import Run, existing_run
from fullconv.training.state import Checkpoint

FREE_ON_RESUME = ("workers", "cache", "accelerator", "devices", "nodes", "strategy")
"""Options of the machine, which may change."""


def resume_run(
    out: str | os.PathLike[str] | None, recipe: str | os.PathLike[str] | None, options: dict[str, Any]
) -> tuple[Run, TrainConfig, Checkpoint | None]:
    """The run ``out`` (by default ``runs/latest``), its options, and its state (None: it was stopped before the first).

    Args:
        recipe, options: what was given this time; only options of the machine may differ from those of the run.

    Raises:
        UsageError: there is no such run, its state cannot be read, or another option differs.
    """
    run = existing_run(out)
    config, saved = _config(run, recipe, options), Checkpoint.read(run)
    if saved is not None:  # whatever this machine would choose
        config = config.model_copy(update={"precision": saved.precision})
    return run, config, saved


def _config(run: Run, recipe: str | os.PathLike[str] | None, options: dict[str, Any]) -> TrainConfig:
    """The options of the run, with what was given for the machine."""
    saved = TrainConfig.load(run.config, {})
    asked = TrainConfig.load(recipe, options)
    for name in asked.model_fields_set:
        if name not in FREE_ON_RESUME and getattr(asked, name) != getattr(saved, name):
            raise UsageError(
                f"--resume: {name} was {getattr(saved, name)!r} in {run.path}, found {getattr(asked, name)!r}; "
                "leave it out, or start a new run with --init-from"
            )
    changed = {name: getattr(asked, name) for name in asked.model_fields_set if name in FREE_ON_RESUME}
    return saved.model_copy(update=changed)
