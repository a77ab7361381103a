"""The one bar of everything that takes longer: how far it is, how fast, how long still, on what, in how much memory.

On a terminal it is a line that moves and goes at the end, whose parts stay where they are; in a log there is nothing
but, at the end of what took more than :data:`LONG` seconds, the line that a terminal gets too. All goes to the error
stream. The time spent is that since the command began (:func:`one_clock`), whichever bar shows it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from fullconv.amounts import clock, memory, number, peak, rate
from fullconv.terminal import print_lines

LONG = 2.0
"""Seconds from which on a plain line tells what was done."""
SHORTEST = 4
"""Columns of the bar itself, which gives way first; figures that leave no room for so many are left out."""
ROOM = 3
"""Columns on the right that no bar fills: for the ``^C`` that a terminal shows, which would break the line."""
FEW = 10
"""Up to so many done, the pace is that since the start, and not that of the last half minute."""
PIXELS = "Mpixel"
UNKNOWN = "--:--"
"""The time left, where nothing is known of it."""
GIVE_WAY = ("device", "memory", "rate", "spent")
"""Figures that are left out where there is no room, in this order; a count that the words say too before them."""


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
        self._summary = summary
        self._counted = f"{counted} " if counted else ""
        self._room = room
        self._console = console or Console(file=sys.stderr, emoji=False)  # as it is now: some redirect it
        self._live: Progress | None = None
        self._parts: dict[str, TaskID] = {}
        self._task = TaskID(0)
        self._stage = ""

    def __enter__(self) -> Bar:
        self._started = time.monotonic()
        self._before = spent()
        _open.append(self)
        if self._console.is_terminal:
            width = self._console.width - ROOM
            self._words = _Words(width // 2, self._room)
            columns = (self._words, BarColumn(None, table_column=Column(ratio=1)), _Figures(width, self._words))
            self._live = _Narrower(
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
        self._done = done
        if self._live is not None:
            self._live.update(
                self._task,
                completed=done,
                total=total,
                description=words or self.what,
                left=left,
                speed=speed,
                told=time.monotonic(),
            )

    def begin(self, done: int) -> None:
        """So many were done before, which is known only now."""
        self._first = self._done = done
        if self._live is not None:
            self._live.update(self._task, first=done, completed=done)

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
        self._live.update(self._task, completed=done, total=total)

    def rows(self, path: Path, done: int, total: int) -> None:
        """Of one large image so many pixels are done: a second line, until it is whole."""
        if self._live is None:
            return
        if path.name not in self._parts:
            self._parts[path.name] = self._add(path.name, total, done, PIXELS, 1)
        self._live.update(self._parts[path.name], completed=done, visible=done < total)

    def _add(self, words: str, total: int | None, first: int, unit: str, each: int, since: float = 0.0) -> TaskID:
        """A line of its own.

        Args:
            since: the seconds after which it began.
        """
        assert self._live is not None
        fields: dict[str, Any] = {"first": first, "unit": unit, "each": each, "left": None, "device": self.device}
        fields |= {"speed": None, "counted": self._counted, "told": 0.0}
        return self._live.add_task(words, total=total, completed=first, since=since, **fields)


class _Narrower(Progress):
    """Of so many columns, whatever the console's are."""

    def __init__(self, width: int, *columns: ProgressColumn, **options: Any) -> None:
        self._width = width  # asked for at once
        super().__init__(*columns, **options)

    def get_renderable(self) -> RenderableType:
        return Constrain(super().get_renderable(), self._width)


class _Words(ProgressColumn):
    """What stands before a bar, in as many columns as the longest so far, but no more than ``most``."""

    def __init__(self, most: int, room: int) -> None:
        super().__init__(Column(no_wrap=True))
        self._most, self.widest = most, min(room, most)

    def render(self, task: Task) -> Text:
        words = Text(task.description, no_wrap=True, overflow="ellipsis")
        self.widest = min(max(self.widest, words.cell_len), self._most)
        words.truncate(self.widest, overflow="ellipsis", pad=True)
        return words


class _Figures(ProgressColumn):
    """What stands behind a bar, as much of it as there is room for in ``width`` columns beside the ``words``.

    All together have as many columns as they ever had, the free ones on the left, and times as many digits, so that
    none moves when another changes.
    """

    max_refresh = 0.5

    def __init__(self, width: int, words: _Words) -> None:
        super().__init__(Column(no_wrap=True))
        self._width, self._words, self._widest = width, words, 0
        self._digits: dict[TaskID, int] = {}
        self._named: dict[TaskID, list[str]] = {}

    def render(self, task: Task) -> Text:
        count, speed, left = _pace(task)
        so_far = task.fields["since"] + (task.elapsed or 0)
        longest = len(UNKNOWN if left is None else clock(so_far + left))
        digits = self._digits[task.id] = max(self._digits.get(task.id, 0), longest) if count else 0
        figures = {
            "count": count,
            "rate": speed,
            "spent": clock(so_far, digits),
            "left": f"left {UNKNOWN.rjust(digits) if left is None else clock(left, digits)}" if count else "",
            "memory": memory(task.fields["device"]),
            "device": task.fields["device"],
        }
        room = self._width - self._words.widest - SHORTEST - 2
        for least in (*["count"] * bool(task.fields["counted"]), *GIVE_WAY):
            if sum(len(one) + 2 for one in figures.values() if one) - 2 > room:
                figures[least] = ""
        text = ", ".join(filter(None, figures.values()))
        named = [name for name, said in figures.items() if said]
        self._widest = max(self._widest, len(text)) if named == self._named.get(task.id) else len(text)
        self._named[task.id] = named
        return Text(text.rjust(self._widest), no_wrap=True, overflow="ellipsis")


def _pace(task: Task) -> tuple[str, str, float | None]:
    """How many are done, how fast, and how many seconds are left."""
    if task.total is None:
        return "", "", None
    fields: dict[str, Any] = task.fields
    done = task.completed - fields["first"]
    mean = done / task.elapsed if task.elapsed else 0.0
    speed = task.speed if task.speed and done > FEW else mean  # of a few the last ones say too little
    left = (task.total - task.completed) / speed if speed else None
    if fields["unit"] == PIXELS:
        return f"{task.percentage:.0f}%", f"{number(speed / 1e6, '#')} {PIXELS}/s" if speed else "", left
    pace = rate((fields["speed"] or speed) * fields["each"], fields["unit"], "#") if speed else ""
    if fields["left"] is not None:
        known = not math.isnan(fields["left"])
        left = max(0.0, fields["left"] - (time.monotonic() - fields["told"])) if known else None
    return f"{fields['counted']}{task.completed:.0f}/{task.total:.0f}", pace, left


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
