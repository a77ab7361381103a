"""Figures of every epoch for programs that compare runs: TensorBoard, MLflow, Weights & Biases, trackio."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from fullconv.errors import UsageError
from fullconv.files import write_text
from fullconv.libraries import installed, library
from fullconv.training.config import TrainConfig

PROJECT = "fullconv"
"""What runs are kept under, unless the program's own variable says otherwise."""


class Tracker(Protocol):
    """What a program that compares runs is told.

    A run that is resumed begins again with the id that it had, and goes on there.
    """

    def begin(self, folder: Path, options: Mapping[str, Any], known: str) -> str:
        """The first epoch is about to be told.

        Args:
            folder: of the run; its name is the run's.
            options: of the training, JSON-ready.
            known: the id that an earlier part of this run had; empty: none.

        Returns:
            The run's id, to be kept; empty where it needs none.
        """
        ...

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """An epoch's figures by name; what is unknown is left out."""
        ...

    def end(self) -> None:
        """The run ends, or stops for now."""
        ...


class TensorBoard:
    """Event files in ``tensorboard/`` of the run folder."""

    def begin(self, folder: Path, options: Mapping[str, Any], known: str) -> str:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder / "tensorboard")
        return ""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, number)
        self.writer.flush()

    def end(self) -> None:
        self.writer.close()


class MLflow:
    """A run of the experiment ``MLFLOW_EXPERIMENT_NAME`` (fullconv) at ``MLFLOW_TRACKING_URI``, else MLflow's default.

    MLflow's names hold letters, digits and ``_-./: ``; other characters become ``_``.
    """

    def begin(self, folder: Path, options: Mapping[str, Any], known: str) -> str:
        self.mlflow = library("mlflow", "--track mlflow")
        self.client = self.mlflow.MlflowClient()
        if known:
            self.run = known
            self.client.update_run(known, status="RUNNING")
            return known
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        self.run = self.client.create_run(experiment, run_name=folder.resolve().name).info.run_id
        params = [self.mlflow.entities.Param(key, str(value)) for key, value in options.items()]
        self.client.log_batch(self.run, params=params)
        return str(self.run)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        names = {name: re.sub(r"[^\w\-./: ]", "_", name, flags=re.ASCII) for name in figures}
        metrics = [self.mlflow.entities.Metric(names[name], value, now, number) for name, value in figures.items()]
        self.client.log_batch(self.run, metrics=metrics)

    def end(self) -> None:
        self.client.set_terminated(self.run)


class WeightsAndBiases:
    """A run of the project ``WANDB_PROJECT`` (fullconv); ``WANDB_MODE=offline`` keeps it in the run folder."""

    def begin(self, folder: Path, options: Mapping[str, Any], known: str) -> str:
        wandb = library("wandb", "--track wandb")
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT, name=folder.resolve().name, dir=str(folder),
            config=dict(options), id=known or None, resume="allow", reinit="create_new",
        )  # fmt: skip
        return str(self.run.id)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self.run.log(dict(figures), step=number)

    def end(self) -> None:
        self.run.finish()


class Trackio:
    """A run of the project ``TRACKIO_PROJECT`` (fullconv) in trackio's own folder, ``TRACKIO_DIR``."""

    def begin(self, folder: Path, options: Mapping[str, Any], known: str) -> str:
        self.trackio = library("trackio", "--track trackio")
        name = known or f"{folder.resolve().name}-{int(time.time())}"  # a name is a run there
        project = os.environ.get("TRACKIO_PROJECT") or PROJECT
        self.trackio.init(
            project=project, name=name, config=dict(options), resume="allow", embed=False, auto_log_gpu=False,
            auto_log_cpu=False,
        )  # fmt: skip
        return name

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self.trackio.log(dict(figures), step=number)

    def end(self) -> None:
        self.trackio.finish()


TRACKERS: dict[str, Callable[[], Tracker]] = {
    "tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WeightsAndBiases, "trackio": Trackio,
}  # fmt: skip
KEPT = "tracking.json"
"""In the run folder: the run's id at each program."""


def refuse_missing(names: list[str]) -> None:
    """Refuse a program that is not installed, before a run folder exists.

    Raises:
        UsageError: it is not, with the extra that brings it.
    """
    for name in names:
        if installed(name):
            continue
        try:
            library(name, f"--track {name}")
        except UsageError as error:
            raise UsageError(f"{error}, or leave {name} out of --track") from error


def as_here(config: TrainConfig) -> tuple[TrainConfig, str]:
    """The options of an earlier run, and a line where they name TensorBoard and it is not here, so that it is left out.

    Runs had it by default, so nobody may have asked for it.
    """
    if "tensorboard" not in config.tracked or installed("tensorboard"):
        return config, ""
    rest = [name for name in config.tracked if name != "tensorboard"]
    line = "tensorboard, which the run had, is not installed here and is not told its figures; log.csv has them"
    return config.model_copy(update={"track": ",".join(rest) or "none"}), line


class Tracking:
    """Tells every program of a run; begun with the first epoch. One that fails is said once, and training goes on."""

    def __init__(self, names: list[str], folder: Path, options: Mapping[str, Any]) -> None:
        self.waiting, self.folder, self.options = {name: TRACKERS[name]() for name in names}, folder, options
        self.told: dict[str, Tracker] = {}

    def write(self, row: Mapping[str, float]) -> list[str]:
        """An epoch's figures, with its number.

        Returns:
            What a user should know: which program has failed, once.
        """
        figures = {name: value for name, value in row.items() if name != "epoch" and math.isfinite(value)}
        notes = [note for name in list(self.waiting) if (note := self._begin(name))]
        for name, tracker in list(self.told.items()):
            try:
                tracker.epoch(int(row["epoch"]), figures)
            except Exception as error:
                del self.told[name]
                notes.append(_failed(name, error))
        return notes

    def _begin(self, name: str) -> str:
        tracker = self.waiting.pop(name)
        try:
            known = self._known()
            given = tracker.begin(self.folder, self.options, known.get(name, ""))
            if given and given != known.get(name):
                write_text(self.folder / KEPT, json.dumps({**known, name: given}, indent=2) + "\n")
        except UsageError:
            raise
        except Exception as error:
            return _failed(name, error)
        self.told[name] = tracker
        return ""

    def _known(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads((self.folder / KEPT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known

    def close(self) -> None:
        for tracker in self.told.values():
            with suppress(Exception):  # the run is done, whatever a program thinks of it
                tracker.end()
        self.told = {}


def _failed(name: str, error: Exception) -> str:
    return (
        f"{name} does not take the figures ({type(error).__name__}: {error}), so it gets no more; log.csv has them all"
    )
