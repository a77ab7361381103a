"""The one bar of everything that takes longer: how far it is, how fast, how long still, on what, in how much memory.

On a terminal it is a line that moves and goes at the end, whose parts stay where they are; in a log there is nothing
but, at the end of what took more than :data:`LONG` seconds, the line that a terminal gets too. All goes to the error
stream. The time spent is that since the command began (:func:`one_clock`), whichever bar shows it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID
from rich.table import Column

from fullconv.amounts import clock, peak, rate
from fullconv.bar_columns import PIXELS, Figures, Narrower, Words
from fullconv.terminal import print_lines

LONG = 2.0
"""Seconds from which on a plain line tells what was done."""
ROOM = 3
"""Columns on the right that no bar fills: for the ``^C`` that a terminal shows, which would break the line."""
NEARLY = 0.01
"""What is missing of images that are labelled and not yet counted."""


@contextmanager
def one_clock() -> Iterator[float]:
    """A command begins: bars show the time since then; within another command since that one began.

    Yields:
        When it began, by the monotonic clock.
    """
    began = _began[0] if _began else time.monotonic()
    _began.append(began)
    try:
        yield began
    finally:
        _began.pop()


def spent() -> float:
    """Seconds since the command began."""
    return time.monotonic() - _began[-1] if _began else 0.0


class Bar:
    """Shows how far something is; enter it, and call it with what is done and of how many.

    Args:
        what: the verb.
        unit: what is counted, in the plural.
        device: where it is computed; empty where that says nothing.
        each: units in one of what is counted: images in a step.
        first: what was done before.
        counted: what stands before the count: ``step``; words before the bar then say where that is, too.
        room: columns to keep for the words before the bar, where they will be longer than the verb.
        summary: whether it ends with a line.
        console: where to; None: the error stream.
    """

    def __init__(
        self, what: str, unit: str = "images", device: str = "", *, each: int = 1, first: int = 0, summary: bool = True,
        counted: str = "", room: int = 0, console: Console | None = None,
    ) -> None:  # fmt: skip
        self.what, self.unit, self.device, self.each = what, unit, device, each
        self._first = self._done = first
        self._total: int | None = None
        self._summary = summary
        self._counted = f"{counted} " if counted else ""
        self._room = room
        self._console = console or Console(file=sys.stderr, emoji=False)  # as it is now: some redirect it
        self._live: Progress | None = None
        self._parts: dict[Path, TaskID] = {}
        self._shares: dict[Path, float] = {}
        """How much is done of images that are not counted yet."""
        self._before_parts = 0.0
        """How much of such images an earlier run did."""
        self._task = TaskID(0)
        self._stage = ""

    def __enter__(self) -> Bar:
        self._started = time.monotonic()
        self._before = spent()
        _open.append(self)
        if self._console.is_terminal:
            width = self._console.width - ROOM
            self._words = Words(width // 2, self._room)
            columns = (self._words, BarColumn(None, table_column=Column(ratio=1)), Figures(width, self._words))
            self._live = Narrower(
                width, *columns, console=self._console, transient=True, expand=True, get_time=time.monotonic,
                redirect_stdout=sys.stdout.isatty(),
            )  # fmt: skip
            self._live.start()
            self._task = self._add(self.what, None, self._first, self.unit, self.each, since=self._before)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        _open.remove(self)
        if self._live is not None:
            self._live.stop()
        seconds = time.monotonic() - self._started
        if kind is None and self._summary and seconds > LONG:
            count = (self._done - self._first) * self.each
            unit = self.unit.removesuffix("s") if count == 1 else self.unit
            did = [f"{count:,} {unit}", clock(seconds), rate(count / seconds, self.unit)] if count else [clock(seconds)]
            self.say(f"{self.what}: {', '.join(filter(None, [*did, *peak(self.device)]))}")

    def say(self, line: str) -> None:
        """A line above the bar, or in the log."""
        print_lines(self._console, line)

    def __call__(
        self, done: int, total: int, *, words: str = "", left: float | None = None, speed: float | None = None
    ) -> None:
        """So many are done of so many.

        Args:
            words: what it says before the bar instead of the verb.
            left: seconds until the end, where they are known better than from the pace so far; nan: it is unknown.
            speed: how many are done in a second, where that is known better: without what else takes time between them.
        """
        whole = [path for path, share in self._shares.items() if share >= 1]
        for path in whole[: max(0, done - self._done)]:
            del self._shares[path]
        self._done, self._total = done, total
        if self._live is not None:
            self._live.update(self._task, total=total, description=words or self.what, left=left, speed=speed)
            self._tell()

    def begin(self, done: int) -> None:
        """So many were done before, which is known only now."""
        self._first = self._done = done
        if self._live is not None:
            self._tell()

    def stage(self, words: str, done: int, total: int | None) -> None:
        """Of several things one after the other this one; ``total`` is None where its parts are not counted."""
        if self._live is None:
            return
        words = f"{self.what}: {words}"
        if words != self._stage:
            self._stage = words
            self._live.remove_task(self._task)
            self._words.widest = 0
            since = self._before + time.monotonic() - self._started
            self._task = self._add(words, total, 0, self.unit, self.each, since=since)
        self._live.update(self._task, completed=done, total=total, told=time.monotonic())

    def rows(self, path: Path, done: int, total: int) -> None:
        """Of one image so many pixels are done: a second line, until it is whole, and that much more of the first."""
        if self._live is None:
            return
        if path not in self._parts:
            self._parts[path] = self._add(path.name, total, done, PIXELS, 1)
            self._before_parts += done / total
        self._live.update(self._parts[path], completed=done, visible=done < total, told=time.monotonic())
        self._shares[path] = done / total
        self._tell()
        if done >= total:
            # The second line goes now. Else Rich's own thread may take it away while a line is printed, for which as
            # many lines are erased as there were before.
            self._live.refresh()

    def _tell(self) -> None:
        """How far it is, with what is done of images that are not counted yet: they may still have to be written."""
        assert self._live is not None
        done = self._done + sum(self._shares.values())
        if self._shares and self._total is not None:
            done = max(self._done, min(done, self._total - NEARLY))
        first = self._first + self._before_parts
        self._live.update(self._task, completed=done, counts=self._done, first=first, told=time.monotonic())

    def _add(self, words: str, total: int | None, first: int, unit: str, each: int, since: float = 0.0) -> TaskID:
        """A line of its own.

        Args:
            since: the seconds after which it began.
        """
        assert self._live is not None
        fields: dict[str, Any] = {"first": first, "unit": unit, "each": each, "left": None, "device": self.device}
        fields |= {"speed": None, "counted": self._counted, "counts": None, "told": 0.0}
        return self._live.add_task(words, total=total, completed=first, since=since, **fields)


_began: list[float] = []
_open: list[Bar] = []
_compiled = False
_compiling = 0.0


def compiling_seconds() -> float:
    """How long this process has compiled kernels so far."""
    return _compiling


def compiled(seconds: float) -> None:
    """A kernel was compiled, in so many seconds."""
    global _compiling
    _compiling += seconds


def say_compiling() -> None:
    """Kernels are about to be compiled, which happens once on a machine: said once, where a bar stands still for it."""
    global _compiled
    if _open and not _compiled:
        _compiled = True
        _open[-1].say("compiling kernels that are new on this machine (up to 20 s of a core)")
