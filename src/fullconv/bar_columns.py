"""What a line of a bar is made of: words before it, and behind it as many figures as there is room for."""

from __future__ import annotations

import math
import time
from typing import Any

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.progress import Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from fullconv.amounts import clock, memory, number, rate

SHORTEST = 4
"""Columns of the bar itself, which gives way first; figures that leave no room for so many are left out."""
FEW = 10
"""Up to so many done, the pace is that since the start, and not that of the last half minute."""
PIXELS = "Mpixel"
UNKNOWN = "--:--"
"""The time left, where it was said that it is unknown."""
GIVE_WAY = ("device", "memory", "rate", "spent")
"""Figures that are left out where there is no room, in this order; a count that the words say too before them."""


class Narrower(Progress):
    """Of so many columns, whatever the console's are."""

    def __init__(self, width: int, *columns: ProgressColumn, **options: Any) -> None:
        self._width = width  # asked for at once
        super().__init__(*columns, **options)

    def get_renderable(self) -> RenderableType:
        return Constrain(super().get_renderable(), self._width)


class Words(ProgressColumn):
    """What stands before a bar, in as many columns as the longest so far, but no more than ``most``."""

    def __init__(self, most: int, room: int) -> None:
        super().__init__(Column(no_wrap=True))
        self._most, self.widest = most, min(room, most)

    def render(self, task: Task) -> Text:
        words = Text(task.description, no_wrap=True, overflow="ellipsis")
        self.widest = min(max(self.widest, words.cell_len), self._most)
        words.truncate(self.widest, overflow="ellipsis", pad=True)
        return words


class Figures(ProgressColumn):
    """What stands behind a bar, as much of it as there is room for in ``width`` columns beside the ``words``.

    All together have as many columns as they ever had, the free ones on the left, and times as many digits, so that
    none moves when another changes.
    """

    max_refresh = 0.5

    def __init__(self, width: int, words: Words) -> None:
        super().__init__(Column(no_wrap=True))
        self._width, self._words, self._widest = width, words, 0
        self._digits: dict[TaskID, int] = {}
        self._named: dict[TaskID, list[str]] = {}

    def render(self, task: Task) -> Text:
        count, speed, left = _pace(task)
        so_far = task.fields["since"] + (task.elapsed or 0)
        longest = len(UNKNOWN if math.isnan(left or 0) else clock(so_far + (left or 0)))
        digits = self._digits[task.id] = max(self._digits.get(task.id, 0), longest) if count else 0
        figures = {
            "count": count,
            "rate": speed,
            "spent": clock(so_far, digits),
            "left": _left_in_words(left, digits),
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


def _left_in_words(left: float | None, digits: int) -> str:
    if left is None:
        return ""
    return f"left {UNKNOWN.rjust(digits) if math.isnan(left) else clock(left, digits)}"


def _pace(task: Task) -> tuple[str, str, float | None]:
    """How many are done, how fast, and how many seconds are left: nan where that is said to be unknown, None before
    there is a pace.

    The pace is that of what was told last, so that nothing slows down while one that takes long is done.
    """
    if task.total is None:
        return "", "", None
    fields: dict[str, Any] = task.fields
    done, told, now = task.completed - fields["first"], fields["told"], time.monotonic()
    began = now if task.start_time is None else task.start_time
    mean = done / (told - began) if told > began else 0.0
    speed = task.speed if task.speed and done > FEW else mean  # of a few the last ones say too little
    left = None
    if fields["left"] is not None:
        left = math.nan if math.isnan(fields["left"]) else max(0.0, fields["left"] - (now - told))
    elif speed > 0:
        since = now - told if fields["unit"] == PIXELS else min(now - told, 1 / speed)
        left = max(0.0, (task.total - task.completed) / speed - since)
    if fields["unit"] == PIXELS:
        return f"{task.percentage:.0f}%", f"{number(speed / 1e6, '#')} {PIXELS}/s" if speed > 0 else "", left
    pace = rate((fields["speed"] or speed) * fields["each"], fields["unit"], "#") if speed > 0 else ""
    count = int(task.completed if fields["counts"] is None else fields["counts"])
    return f"{fields['counted']}{count}/{task.total:.0f}", pace, left
