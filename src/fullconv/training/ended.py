"""A run that is to go on and has ended: what it came to, and how to learn longer."""

from __future__ import annotations

import os
import shlex

from fullconv.data import DatasetSpec
from fullconv.terminal import program
from fullconv.training.config import TrainConfig
from fullconv.training.ending import ending
from fullconv.training.label_maps import OF_VAL
from fullconv.training.resume import data_of, is_own
from fullconv.training.run import Run
from fullconv.training.state import Checkpoint


def has_ended(run: Run, config: TrainConfig, saved: Checkpoint, data: str | os.PathLike[str] | DatasetSpec) -> bool:
    """Whether nothing is left to do on the run's own data; other data are looked at first, and refused."""
    if not run.best.is_file() or not is_own(run, data):
        return False
    progress = saved.progress
    if len(progress.history) >= progress.timetable[0]:
        return True
    against = saved.header["provenance"].get("scored_against")
    if not config.early_stopping or not progress.history or OF_VAL not in progress.history[0] or against == "tags":
        return False
    whole = progress.loss_steps == 0
    return whole and progress.epochs_since_best(OF_VAL) >= config.early_stopping


def ended(run: Run, saved: Checkpoint) -> list[str]:
    """How far the run came, how to train on from its best model, and what else to type."""
    data, scores, provenance = data_of(run), run.scores, saved.header["provenance"]
    epochs = len(saved.progress.history)
    best = f"best: epoch {scores['epoch']}"
    if scores.get("mean_iou") is not None:
        against = f" against {provenance['scored_against']}" if "scored_against" in provenance else ""
        best += f", val mean IoU{against} {scores['mean_iou']:.4f}"
    more = f"{program()} train {shlex.quote(data)} --init-from {shlex.quote(str(run.path))} --epochs {epochs}"
    return [
        f"{run.path} has ended, after {epochs} epoch{'s' * (epochs != 1)}; {best}: {run.best}",
        f"to learn longer, begin a run with what it has learned: {more}",
        *ending(run, data, "scored_against" not in provenance),
    ]
