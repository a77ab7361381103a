"""Ctrl-C as a request: the loop finishes its step, saves, and leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class InterruptRequest:
    """While active, the first SIGINT or SIGTERM only sets ``asked``, and says so; a second one acts as usual.

    Attributes:
        say: tells the user a line.
    """

    say: Callable[[str], None] | None = None

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> InterruptRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *details: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        if self.say is not None:
            self.say("stopping after this step, to save the run; Ctrl-C again stops at once")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
