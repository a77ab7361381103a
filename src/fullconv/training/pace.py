"""How long a run still takes: steps and validations, which are timed apart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WARM_UP = 2
"""First steps, which start reading processes and compile kernels; they count only where there are no others."""


@dataclass
class Pace:
    """Seconds of a run's steps, and of its validations with all that ends an epoch.

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
        self._validation = seconds

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
        validation = self._validation or self.known * self.per_epoch * self._mean
        return (self.steps - done) * self._mean + (self.steps // self.per_epoch - ended) * validation
