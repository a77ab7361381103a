"""The saved state of a run: what ``--resume`` goes on from."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fullconv.data import DatasetSpec, Item
from fullconv.errors import NotFiniteError, UsageError, first_few
from fullconv.files import replacing
from fullconv.models.finite import not_finite
from fullconv.training.optimisation import MovingAverage
from fullconv.training.run import Run


@dataclass
class Progress:
    """Where a run is: the step, the epochs so far, and the running sums of the present one.

    Attributes:
        loss_sum: as it was when the state was saved or the epoch ended.
        counts: of the present epoch's training batches, int64 ``[classes, classes]`` as in a confusion matrix; over
            all ranks when it is saved.
    """

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0
    seconds: float = 0.0
    counts: Tensor | None = None

    def add(self) -> None:
        """Count a step; its loss is summed on the device."""
        self.step += 1
        self.loss_steps += 1

    def end_epoch(self, row: dict[str, Any]) -> None:
        """Keep an epoch's figures, and begin the next one's sums."""
        self.history.append(row)
        self.loss_sum, self.loss_steps, self.seconds, self.counts = 0.0, 0, 0.0, None

    @property
    def best(self) -> float:
        return max((_standing(row["mean_iou"]) for row in self.history), default=-math.inf)

    def is_best(self, mean_iou: float) -> bool:
        """Whether an epoch with this score is better than all before it."""
        return _standing(mean_iou) > self.best

    def epochs_since_best(self) -> int:
        standings = [_standing(row["mean_iou"]) for row in self.history]
        return len(standings) - 1 - standings.index(max(standings)) if standings else 0


def _standing(mean_iou: float) -> float:
    """The order of epochs; one without any score (nan) is the worst."""
    return -1.0 if math.isnan(mean_iou) else mean_iou


def fingerprint(spec: DatasetSpec, train: Sequence[Item], val: Sequence[Item]) -> str:
    """What makes a data set the same one: its classes and the names of its items, in order, and what each labels."""
    parts = [*spec.classes.names, "", *(item.id for item in train), "", *(item.id for item in val)]
    if spec.labelled is not None:
        parts += [str(spec.labelled[item.source]) for item in (*train, *val)]
    if spec.values is not None:
        parts.append(repr((spec.values.range, spec.values.nodata)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass
class State:
    """Weights, optimiser, average and progress in one file.

    Attributes:
        header: of the segmenter (:meth:`fullconv.segmenter.Segmenter.header`), so that a run goes on without the
            files that its first weights came from.
        data: the :func:`fingerprint` of the data.
        precision: the arithmetic, which must not change on the way.
        scaler: of the loss in fp16 (:class:`torch.amp.GradScaler`), else None.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    header: dict[str, Any]
    data: str
    precision: str
    scaler: Any = None

    def save(self, run: Run, progress: Progress) -> None:
        """Write ``resume/state.pt`` in one step.

        Raises:
            NotFiniteError: weights, average or optimiser hold nan or inf; nothing is written.
        """
        bad = self.not_finite()
        if bad:
            raise NotFiniteError(f"{run.state}: not written, {first_few(bad)} are not finite")
        content = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.average.state_dict() if self.average else None,
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "progress": vars(progress),
            "header": self.header,
            "data": self.data,
            "precision": self.precision,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with replacing(run.state) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def not_finite(self) -> list[str]:
        """Which weights, averaged weights and tensors of the optimiser hold nan or inf."""
        bad = not_finite(self.network.state_dict())
        if self.average:
            bad += [f"the moving average of {name}" for name in not_finite(self.average.average.state_dict())]
        kept = self.optimizer.state_dict()["state"]
        moments = {f"{key} {i}": v for i, row in kept.items() for key, v in row.items() if isinstance(v, Tensor)}
        return bad + [f"the optimiser's {name}" for name in not_finite(moments)]

    def restore(self, saved: dict[str, Any]) -> Progress:
        """Take over what :func:`read_state` read."""
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average:
            self.average.average.load_state_dict(saved["average"])
        if self.scaler:
            self.scaler.load_state_dict(saved["scaler"])
        return Progress(**saved["progress"])


def read_state(run: Run) -> dict[str, Any] | None:
    """The saved state of a run, or None if it was stopped before its first save.

    Raises:
        UsageError: the file is damaged.
    """
    if not run.state.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(run.state, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged bytes torch.load raises almost anything
        raise UsageError(
            f"{run.state}: damaged ({str(error).splitlines()[0][:100]}); start a new run with --init-from {run.path}"
        ) from error
    return content
