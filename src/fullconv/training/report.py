"""What a user sees of a run while it goes: a progress bar, one line per epoch, pictures, curves, tensorboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fullconv import draw
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.run import Run

SHEET_SAMPLES = 4


class Reporter:
    """Shows a run on the terminal and draws it into its folder; silent with ``console=None`` (other ranks)."""

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

    def epoch(self, run: Run, history: Sequence[Mapping[str, Any]], config: TrainConfig, best: bool) -> None:
        """One log line, ``log.csv``, ``curves.png`` and tensorboard events."""
        row = history[-1]
        self.say(
            f"epoch {row['epoch']:3d}/{config.epochs}  train: loss {row['train_loss']:.4f}  "
            f"pixel acc {row['train_pixel_accuracy']:.4f}  mean acc {row['train_mean_accuracy']:.4f}  "
            f"mean IoU {row['train_mean_iou']:.4f}  val: loss {row['val_loss']:.4f}  "
            f"pixel acc {row['pixel_accuracy']:.4f}  mean acc {row['mean_accuracy']:.4f}  "
            f"mean IoU {row['mean_iou']:.4f}  fw IoU {row['fw_iou']:.4f}  rate {row['rate']:.2e}  "
            f"{row['seconds']:.1f} s{'  *' if best else ''}"
        )
        run.write_log(history)
        run.write_picture("curves.png", draw.curves(history, config.loss_in_words))
        self._write_events(run, row)

    def _write_events(self, run: Run, row: Mapping[str, Any]) -> None:
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


def contact_sheet(run: Run, epoch: int, segmenter: Segmenter, spec: DatasetSpec, items: Sequence[Item]) -> None:
    """``pictures/epoch_NNN.png``: image | truth | prediction of the same few val samples every epoch."""
    rows = []
    for item in sheet_items(items):
        sample = read_sample(spec, item)
        rows.append((sample.image, sample.labels, segmenter.predict_pixels(sample.image).labels))
    run.write_picture(f"pictures/epoch_{epoch:03d}.png", draw.contact_sheet(rows, spec.classes))


def sheet_items(items: Sequence[Item]) -> list[Item]:
    """The few that are drawn, spread over all."""
    return [items[i * len(items) // SHEET_SAMPLES] for i in range(min(SHEET_SAMPLES, len(items)))]
