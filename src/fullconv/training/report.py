"""What a user sees of a run while it goes: a progress bar, one line per epoch, tensorboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fullconv.training.run import Run


class Reporter:
    """Shows a run on the terminal; silent with ``console=None`` (other ranks)."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._events: Any = None
        """Tensorboard's writer, None before the first epoch, False where it is not installed."""

    def say(self, line: str) -> None:
        if self.console is not None:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    # -- progress ------------------------------------------------------------------------------------------------

    def start(self, total: int, done: int) -> None:
        """Open the bar over all steps of the run (on a terminal only)."""
        if self.console is None or not self.console.is_terminal:
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps, left"),
            TimeRemainingColumn(),
        )  # fmt: skip
        self._progress = Progress(*columns, console=self.console)
        self._progress.start()
        self._task = self._progress.add_task("training", total=total, completed=done)

    def step(self, done: int, description: str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, description=description)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if self._events:
            self._events.close()
            self._events = None

    # -- epochs --------------------------------------------------------------------------------------------------

    def epoch(self, run: Run, row: Mapping[str, float], figures: str, epochs: int, best: bool) -> None:
        """One line, and tensorboard's events.

        Args:
            row: the epoch's figures; all but its number become events.
            figures: those of them that the line shows, beside rate and time.
            epochs: of the whole run.
            best: whether no epoch before was as good.
        """
        rest = f"rate {row['rate']:.2e}  {row['seconds']:.1f} s{'  *' if best else ''}"
        self.say(f"epoch {row['epoch']:3d}/{epochs}  {figures}  {rest}")
        self._write_events(run, row)

    def _write_events(self, run: Run, row: Mapping[str, float]) -> None:
        if self._events is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._events = False
                self.say("tensorboard is not installed, so no events are written; pip install 'fullconv[tensorboard]'")
            else:
                self._events = SummaryWriter(run.path / "tensorboard")
        if not self._events:
            return
        for name, value in row.items():
            if name != "epoch":
                self._events.add_scalar(name, value, row["epoch"])
        self._events.flush()
