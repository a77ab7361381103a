"""How long a run still takes: steps, validations and pictures, which are timed apart."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from fullconv.training.drawing import SHARE

WARM_UP = 2
"""First steps, which start reading processes and compile kernels; they count only where there are no others."""


@dataclass
class Pace:
    """Seconds of a run's steps, of its validations with the files that end an epoch, and of its pictures.

    Attributes:
        steps: of the whole run.
        per_epoch: of an epoch; a validation follows each.
        known: of a run that goes on, how long a validation took, over the steps of its epoch. Shares, unlike seconds,
            are about the same on another machine.
    """

    steps: int
    per_epoch: int
    known: float = 0.0
    _step: deque[float] = field(init=False)
    _seen: int = 0
    _validation: float = 0.0
    _drawing: float = 0.0
    _undrawn: int = 0
    """Epochs since the pictures were last drawn."""

    def __post_init__(self) -> None:
        self._step = deque(maxlen=self.per_epoch)

    def step(self, seconds: float) -> None:
        """Note a step; the last epoch's worth of them make the estimate."""
        if self._seen == WARM_UP:
            self._step.clear()
        self._seen += 1
        self._step.append(seconds)

    def validated(self, seconds: float) -> None:
        """Note the last validation, which stands for those to come."""
        self._validation = max(0.0, seconds)
        self._undrawn += 1

    def drew(self, seconds: float) -> None:
        """Note the pictures of the epoch whose validation is noted next."""
        self._drawing, self._undrawn = seconds, -1

    @property
    def has_validated(self) -> bool:
        return self._validation > 0

    @property
    def share(self) -> float:
        """How long the last validation took, over the steps of an epoch; 0 where that is not known."""
        if not (self._validation and self._step):
            return self.known
        return self._validation / (self.per_epoch * self._mean)

    @property
    def speed(self) -> float | None:
        """Steps a second while it learns; None where that is not known."""
        return 1 / self._mean if self._seen > WARM_UP and self._mean else None

    @property
    def _mean(self) -> float:
        return sum(self._step) / len(self._step)

    def left(self, done: int, validated: float = 0.0) -> float | None:
        """Seconds until the end; None before the first steps that count. Before the first validation of all it is
        without validations.

        Args:
            done: steps done.
            validated: after an epoch's last step, the share of its validation that is done.
        """
        if not self._step or (self._seen <= WARM_UP and done % self.per_epoch):
            return None
        ended = (done - 1) // self.per_epoch + validated
        epochs = self.steps // self.per_epoch
        pictures = self._drawing * self._drawings(epochs - math.floor(ended))
        return (self.steps - done) * self._mean + (epochs - ended) * self._one_validation + pictures

    @property
    def epoch_seconds(self) -> float:
        """Of the steps of an epoch and its validation; 0 before the first step."""
        return self.per_epoch * self._mean + self._one_validation if self._step else 0.0

    @property
    def _one_validation(self) -> float:
        return self._validation or self.known * self.per_epoch * self._mean

    def _drawings(self, epochs: int) -> int:
        """How often pictures will be drawn in as many epochs: the last one has some."""
        seconds = self.epoch_seconds
        every = max(1, math.ceil(self._drawing / SHARE / seconds)) if seconds else 1
        return math.ceil((epochs + max(self._undrawn, 0)) / every)
