"""How many epochs a run has, and how far along its schedule a step is; with a budget of time, by the clock."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

TOLERANCE = 0.05
"""Share of the epochs that are left by which their number may be off before it is changed."""
FEW = 4
"""With more epochs left than these the first one, in which processes start and kernels compile, is not gone by."""
NEWS = 0.1
"""Share by which the number of epochs has changed since it was said, where it is said again."""
RECENT = 3
"""Epochs whose mean is what one takes: other work on the machine makes single ones longer."""


@dataclass
class Timetable:
    """The epochs of a run. With a budget their number changes at the ends of epochs, by how long those took.

    Rates are functions of a step's place on the schedule of the steps that were planned at first. Where the number of
    epochs changes, what is left of the schedule is stretched or shrunk over the steps that are left, so that rates go
    on where they were and end where they should.

    Attributes:
        per_epoch: steps between two validations.
        epochs: of the run, as is known now.
        seconds: the budget; None: the number of epochs stands.
        planned: steps of the schedule.
        bend: the last step at which the number of epochs changed, and its place on the schedule.
    """

    per_epoch: int
    epochs: int
    seconds: float | None = None
    planned: int = field(init=False)
    bend: tuple[int, float] = (0, 0.0)
    _said: int = field(init=False)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def __post_init__(self) -> None:
        self.planned = self.steps
        self._said = self.epochs

    @property
    def steps(self) -> int:
        return self.epochs * self.per_epoch

    def place(self, step: int) -> float:
        """Where on the schedule of ``planned`` steps a step is; the step itself where nothing was changed."""
        start, place = self.bend
        if (start, place) == (0, 0.0):
            return step
        return place + (self.planned - place) * (step - start) / max(self.steps - start, 1)

    @property
    def epoch_seconds(self) -> float:
        """How long an epoch takes; 0 before the first that counts."""
        return sum(self._recent) / max(len(self._recent), 1)

    def replan(self, done: int, spent: float, last_epoch: float) -> bool:
        """Fit the epochs that are left into what is left of the budget; whether their number has changed.

        Args:
            done: epochs that have ended.
            spent: seconds of the run so far.
            last_epoch: seconds of the last one, with its validation.
        """
        left = self.epochs - done
        if self.seconds is None or left == 0 or (done == 1 and left > FEW):
            return False
        self._recent.append(last_epoch)
        possible = max(0, math.floor((self.seconds - spent) / max(self.epoch_seconds, 1e-9) + TOLERANCE))
        if abs(possible - left) <= TOLERANCE * left:
            return False
        step = done * self.per_epoch
        self.bend = step, self.place(step)
        self.epochs = done + possible
        return True

    def news(self, done: int) -> str:
        """What a user should hear of the number of epochs, after so many; empty where the lines of epochs will do."""
        if self.epochs == done:
            return "the time is over"
        if abs(self.epochs - self._said) <= NEWS * self._said:
            return ""
        self._said = self.epochs
        return f"time for {self.epochs} epochs, since one takes {self.epoch_seconds:.0f} s"

    # -- what is saved -------------------------------------------------------------------------------------------

    def state(self) -> tuple[int, int, int, float]:
        """The epochs, the planned steps, and the bend's step and place."""
        return self.epochs, self.planned, *self.bend

    def restore(self, state: tuple[int, int, int, float]) -> None:
        """Go on from what :meth:`state` gave, whatever number of epochs the options say by now."""
        self.epochs, self.planned, self.bend = state[0], state[1], (state[2], state[3])
        self._said = self.epochs
