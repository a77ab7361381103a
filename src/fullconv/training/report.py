"""What a user sees of a run while it goes: lines, and on a terminal a table of epochs above a bar."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from fullconv.amounts import clock, peak, rate
from fullconv.bars import Bar, compiling_seconds, spent
from fullconv.terminal import print_lines, wrapped_in_log
from fullconv.training.pace import Pace

LOG_WIDTH, PROSE_WIDTH = 80, 100
"""Columns of an epoch's line in a log, and of lines that explain."""
COUNTED = 7
"""Epochs left of a run of limited time from which on the time left is theirs: one is over 15 % of it then."""
NARROW = 100
"""Columns below which the bar does not say the epoch while it validates, so that all its figures have room."""
Figures = Sequence[tuple[str, str]]
"""Names and values of what an epoch came to, the most important first."""


class Reporter:
    """Shows a run on the terminal; silent with ``console=None`` (other ranks)."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self._bar: tuple[Bar, Pace] | None = None
        self._head = ""
        self._stepped, self._first, self._seen = 0.0, (0.0, 0), (0.0, 0)
        """When the last step was told of; within a validation, when the first and last images were, and how many."""
        self._ends: float | None = None
        self._compiling, self._drew = 0.0, 0.0
        self._images, self._learning, self._device = 0, 0.0, ""
        """What was learned from, in how many seconds of steps, and where."""
        self._share = 1.0
        """Of the end of an epoch, how much its validation takes; the rest are files."""

    def say(self, line: str) -> None:
        if self.console is not None and line:
            print_lines(self.console, line if self.console.is_terminal else wrapped_in_log(line, PROSE_WIDTH))

    def epoch(self, row: Mapping[str, float], figures: Figures, epochs: int, best: bool) -> None:
        """One line with as many figures as it has room for: on a terminal a row of a table, in a log with their names.

        Args:
            row: the epoch's number, rate and seconds.
            figures: what else the line shows.
            epochs: of the whole run.
            best: whether no epoch before was as good; it is marked.
        """
        if self.console is None:
            return
        seconds, ends = row["seconds"], "  *" if best else ""
        number = f"{row['epoch']:.0f}/{epochs}".rjust(len(f"{epochs}/{epochs}"))
        time = f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
        every = [*figures, ("rate", f"{row['rate']:.1e}")]
        if self.console.is_terminal:
            self._table_row(number, every, time, ends)
        else:
            said = [f"  {name} {value}" for name, value in every]
            room = LOG_WIDTH - len(f"epoch {number}  {time}  *")
            self.say(f"epoch {number}{''.join(said[: _fitting(said, room)])}  {time}{ends}")

    def _table_row(self, number: str, figures: Figures, time: str, ends: str) -> None:
        assert self.console is not None
        widths = [2 + max(len(name), len(value)) for name, value in figures]
        cells = [value.rjust(width) for (_, value), width in zip(figures, widths, strict=True)]
        left = number.rjust(len("epoch"))
        count = _fitting(cells, self.console.width - 1 - len(f"{left}{'time':>9}  *"))
        names = "".join(name.rjust(width) for (name, _), width in zip(figures[:count], widths, strict=False))
        head = f"{'epoch':>{len(left)}}{names}{'time':>9}"
        if head != self._head:
            self._head = head
            self.say(head)
        self.say(f"{left}{''.join(cells[:count])}{time:>9}{ends}")

    def waiting(self, what: str) -> AbstractContextManager[Bar | None]:
        """A bar while something is done before the first step or after the last; it stands unless it is told more."""
        return nullcontext() if self.console is None else Bar(what, "", summary=False, console=self.console)

    # -- the bar -------------------------------------------------------------------------------------------------

    def start(
        self, steps: int, per_epoch: int, done: int, device: str = "", batch_size: int = 1,
        ends: float | None = None, words: str = "", images: int = 0, share: float = 0.0,
    ) -> None:  # fmt: skip
        """Open the bar over all steps of the run (on a terminal only).

        Args:
            words: the longest that it will say of where it is; empty where it has no epochs.
            images: of val.
            share: :attr:`share` as a run that goes on had it.
            ends: by the monotonic clock, of a run whose epochs follow its time: no more is left than until then.
        """
        self._ends, self._device = ends, device
        if self.console is not None:
            bar = Bar(
                "training",
                device=device,
                each=batch_size,
                first=done,
                summary=False,
                counted="step" * bool(words),
                room=max(len(f"{words}, loss 0.000"), len(self._validating(words, images, images))) if words else 0,
                console=self.console,
            )
            self._bar = bar.__enter__(), Pace(steps, per_epoch, share)
            bar(done, steps, left=self._left(None, done))
            self._compiling = compiling_seconds()

    def step(self, done: int, words: str, seconds: float | None) -> None:
        """A step is done: how many are, what the bar says, how long this one took (None: as the bar counts)."""
        if self._bar is not None:
            bar, pace = self._bar
            self._stepped, self._first, self._drew = time.monotonic(), (0.0, 0), 0.0
            self._images += bar.each
            if seconds is not None:
                seconds = self._working(seconds)
                self._learning += seconds
                pace.step(seconds)
            left = None if seconds is None else self._left(pace.left(done), done)
            bar(done, pace.steps, words=words, left=left, speed=pace.speed)

    def validating(self, done: int, words: str, images: int, of: int) -> None:
        """Within a validation after ``done`` steps: its images so far."""
        if self._bar is not None:
            bar, pace = self._bar
            self._seen = time.monotonic(), images
            self._first = self._first if self._first[1] else self._seen
            left = self._left(pace.left(done, self._share * images / of), done)
            bar(done, pace.steps, words=self._validating(words, images, of), left=left, speed=pace.speed)

    def ending(self, done: int, words: str) -> None:
        """After a validation: what ends an epoch, files and pictures."""
        if self._bar is not None:
            bar, pace = self._bar
            left = self._left(pace.left(done, self._share), done)
            bar(done, pace.steps, words=f"{words}, saving", left=left, speed=pace.speed)

    def _validating(self, words: str, images: int, of: int) -> str:
        narrow = self.console is not None and self.console.width < NARROW
        return f"{words}, " * (not narrow) + f"validating {images}/{of}"

    def _working(self, seconds: float) -> float:
        """Without the part in which kernels were compiled: what is to come compiles none."""
        before, self._compiling = self._compiling, compiling_seconds()
        return max(0.0, seconds - (self._compiling - before))

    def _left(self, seconds: float | None, done: int) -> float:
        """Of a run of limited time what is left of that, whose epochs follow it, but in the last few what they take: it
        ends after a whole one, up to an epoch earlier. nan where it is not known.
        """
        if self._ends is None or self._bar is None:
            return math.nan if seconds is None else seconds
        allowed, pace = max(0.0, self._ends - time.monotonic()), self._bar[1]
        if seconds is None:
            return allowed
        if pace.steps - done <= pace.per_epoch:
            return seconds
        few = pace.steps - done <= COUNTED * pace.per_epoch
        planned = allowed - seconds < pace.epoch_seconds  # else there is time for another
        return min(seconds, allowed) if few and planned else allowed

    def drew(self, seconds: float) -> None:
        """How long the pictures took that were drawn after an epoch; not each has some."""
        if self._bar is not None:
            self._drew = seconds
            self._bar[1].drew(seconds)

    def validated(self, seconds: float) -> None:
        """How long a validation took, with the files and pictures that end an epoch."""
        if self._bar is not None:
            pace, steady = self._bar[1], seconds - self._drew - self._starting()
            seconds = self._working(seconds) - self._drew
            pace.validated(seconds if pace.has_validated else min(seconds, steady))
            if self._seen[1] and seconds > 0:
                after = time.monotonic() - self._seen[0] - self._drew
                self._share = min(1.0, max(0.0, 1 - after / seconds))

    def _starting(self) -> float:
        """Seconds by which the first images of a validation took longer than the others: processes start for them."""
        (first, images), (last, all_images) = self._first, self._seen
        if all_images <= images:
            return 0.0
        return max(0.0, first - self._stepped - images * (last - first) / (all_images - images))

    @property
    def share(self) -> float:
        """How long a validation takes, over the steps of an epoch; 0 where that is not known, or nothing is shown."""
        return 0.0 if self._bar is None else self._bar[1].share

    def replanned(self, steps: int, line: str) -> None:
        """The run has another number of steps now; an empty line is not said."""
        if line:
            self.say(line)
        if self._bar is not None:
            self._bar[1].steps = steps

    def took(self) -> None:
        """One of the last lines: how long it all took, how fast it learned, in how much memory."""
        images = f"{self._images:,} image{'s' * (self._images != 1)}" if self._images else ""
        speed = f" at {rate(self._images / self._learning, 'images')}" if self._learning else ""
        self.say(f"train: {', '.join(filter(None, [images + speed, f'{clock(spent())} in all', *peak(self._device)]))}")

    def stop(self) -> None:
        if self._bar is not None:
            self._bar[0].__exit__(None)
            self._bar = None


def _fitting(texts: Sequence[str], room: int) -> int:
    """How many of the first texts have room beside each other."""
    count = 0
    while count < len(texts) and len("".join(texts[: count + 1])) <= room:
        count += 1
    return count
