"""What a user sees of a run while it goes: lines, and on a terminal a bar with the time that is left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from fullconv.training.pace import Pace


class Reporter:
    """Shows a run on the terminal; silent with ``console=None`` (other ranks)."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self._bar: tuple[Progress, TaskID, Pace] | None = None

    def say(self, line: str) -> None:
        if self.console is not None and line:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def epoch(self, row: Mapping[str, float], figures: str, epochs: int, best: bool) -> None:
        """One line.

        Args:
            row: the epoch's number, rate and seconds.
            figures: what else the line shows.
            epochs: of the whole run.
            best: whether no epoch before was as good.
        """
        rest = f"rate {row['rate']:.2e}  {row['seconds']:.1f} s{'  *' if best else ''}"
        self.say(f"epoch {row['epoch']:3d}/{epochs}  {figures}  {rest}")

    # -- the bar -------------------------------------------------------------------------------------------------

    def start(self, steps: int, per_epoch: int, done: int) -> None:
        """Open the bar over all steps of the run (on a terminal only)."""
        if self.console is None or not self.console.is_terminal:
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps{task.fields[left]}"),
        )  # fmt: skip
        progress = Progress(*columns, console=self.console)
        progress.start()
        task = progress.add_task("training", total=steps, completed=done, left="")
        self._bar = progress, task, Pace(steps, per_epoch)

    def step(self, done: int, words: str, seconds: float) -> None:
        """A step is done: how many are, what the bar says, and how long this one took."""
        if self._bar is not None:
            progress, task, pace = self._bar
            pace.step(seconds)
            progress.update(task, completed=done, description=words, left=_left(pace.left(done)))

    def validating(self, done: int, words: str, images: int, of: int) -> None:
        """Within a validation after ``done`` steps: its images so far."""
        if self._bar is not None:
            progress, task, pace = self._bar
            left = _left(pace.left(done, images / of))
            progress.update(task, description=f"{words}, validating {images}/{of}", left=left)

    def validated(self, seconds: float) -> None:
        """How long a validation took, with the files and pictures that end an epoch."""
        if self._bar is not None:
            self._bar[2].validated(seconds)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", left {timedelta(seconds=round(seconds))}"
