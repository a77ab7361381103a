"""The saved state of a run: what ``--resume`` goes on from. Written and read here alone."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from fullconv.data import DatasetSpec, Item
from fullconv.errors import UsageError, first_few
from fullconv.files import replacing
from fullconv.training.run import Run

VERSION = 2
"""Of the file; raised whenever a field changes its meaning, comes or goes."""


@dataclass
class Progress:
    """Where a run is: the step, the epochs so far, and the running sums of the present one.

    Attributes:
        step: steps done, from 0.
        history: a row of ``log.csv`` for each finished epoch.
        loss_sum: of the epoch's steps, as it was when the state was saved or the epoch ended.
        loss_steps: how many they are.
        seconds: that they took.
        spent: seconds of the whole run, when the state was saved.
        timetable: as :meth:`fullconv.training.timetable.Timetable.state` gave it then.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0
    seconds: float = 0.0
    spent: float = 0.0
    timetable: tuple[int, int, int, float] = (0, 0, 0, 0.0)

    def add(self) -> None:
        """Count a step; its loss is summed on the device."""
        self.step += 1
        self.loss_steps += 1

    @property
    def mean_loss(self) -> float:
        return self.loss_sum / max(self.loss_steps, 1)

    def end_epoch(self, row: dict[str, float]) -> None:
        """Keep an epoch's figures, and begin the next one's sums."""
        self.history.append(row)
        self.loss_sum, self.loss_steps, self.seconds = 0.0, 0, 0.0

    def is_best(self, score: str) -> bool:
        """Whether the last epoch is the best one, by column ``score``; the first one is, when it ends."""
        return self.epochs_since_best(score) == 0

    def epochs_since_best(self, score: str) -> int:
        """Epochs after the best one: of those with the highest ``score`` the one with the lowest ``val_loss``.

        A nan score is below every number; where a loss is not known the earlier of equal scores stays.
        """
        best = 0
        for epoch in range(1, len(self.history)):
            best = epoch if _better(self.history[epoch], self.history[best], score) else best
        return max(len(self.history) - 1 - best, 0)


def _better(row: dict[str, float], best: dict[str, float], score: str) -> bool:
    new, old = (-math.inf if math.isnan(one[score]) else one[score] for one in (row, best))
    return new > old or (new == old and row.get("val_loss", math.nan) < best.get("val_loss", math.nan))


def fingerprint(spec: DatasetSpec, train: Sequence[Item], val: Sequence[Item]) -> str:
    """What makes a data set the same one: its classes and the names of its items, in order, and what each labels."""
    parts = [*spec.classes.names, "", *(item.id for item in train), "", *(item.id for item in val)]
    if spec.labelled is not None:
        parts += [str(spec.labelled[item.source]) for item in (*train, *val)]
    if spec.values is not None:
        parts.append(repr((spec.values.range, spec.values.nodata)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps, in one file (``resume/state.pt``, version :data:`VERSION`).

    Attributes:
        network: its parameters and buffers.
        optimizer: moments and settings, as :meth:`torch.optim.Optimizer.state_dict` gives them.
        average: parameters and buffers of the moving average, where there is one.
        scaler: of the loss in fp16, where there is one (:meth:`torch.amp.GradScaler.state_dict`).
        objective: what it gathered of the present epoch (:meth:`fullconv.training.objective.Objective.state`).
        progress: where the run is.
        header: of the segmenter (:meth:`fullconv.segmenter.Segmenter.header`), so that a run goes on without the
            files that its first weights came from.
        data: the :func:`fingerprint` of the data.
        precision: the arithmetic, which must not change on the way.
    """

    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor] | None
    scaler: dict[str, Any] | None
    objective: dict[str, Tensor]
    progress: Progress
    header: dict[str, Any]
    data: str
    precision: str

    kinds: ClassVar[dict[str, type | tuple[type, ...]]] = {
        "network": dict, "optimizer": dict, "average": (dict, type(None)), "scaler": (dict, type(None)),
        "objective": dict, "progress": dict, "header": dict, "data": str, "precision": str,
    }  # fmt: skip

    def write(self, run: Run) -> None:
        """Take the place of the run's saved state, in one step."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        buffer = io.BytesIO()
        torch.save({"version": VERSION, **content, "progress": vars(self.progress)}, buffer)
        with replacing(run.state) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    @classmethod
    def read(cls, run: Run) -> Checkpoint | None:
        """The saved state of a run, its tensors on the CPU; None if the run was stopped before its first save.

        Raises:
            UsageError: the file is damaged, of another version, or a field is missing, unknown or of a wrong type.
        """
        if not run.state.is_file():
            return None
        try:
            content = torch.load(run.state, map_location="cpu", weights_only=True)
        except Exception as error:  # on damaged bytes torch.load raises almost anything
            raise _refused(run, f"damaged ({str(error).splitlines()[0][:100]})") from error
        version = content.pop("version", None) if isinstance(content, dict) else None
        if version != VERSION:
            found = "no version" if version is None else f"version {version!r}"
            raise _refused(
                run, f"expected the state of a run of version {VERSION}, found {found}: it is not this fullconv's"
            )
        _check_fields(run, "", content, cls.kinds)
        _check_fields(run, "progress.", content["progress"], dict.fromkeys(vars(Progress()), object))
        return cls(**{**content, "progress": Progress(**content["progress"])})


def _check_fields(run: Run, where: str, content: Mapping[str, object], kinds: Mapping[str, Any]) -> None:
    """Refuse another set of fields, or a field of another type.

    Raises:
        UsageError: it is.
    """
    if missing := [where + name for name in kinds if name not in content]:
        raise _refused(run, f"{first_few(missing)} missing")
    if unknown := [where + str(name) for name in content if name not in kinds]:
        raise _refused(run, f"{first_few(unknown)} unknown to this fullconv")
    if wrong := [where + name for name, kind in kinds.items() if not isinstance(content[name], kind)]:
        raise _refused(run, f"{first_few(wrong)} of a wrong type")


def _refused(run: Run, problem: str) -> UsageError:
    """What is wrong with a run's saved state, and how to go on without it."""
    if run.last.is_file():
        return UsageError(f"{run.state}: {problem}; start a new run with --init-from {run.path}")
    return UsageError(f"{run.state}: {problem}; no epoch was finished, so remove {run.path} and start again")
