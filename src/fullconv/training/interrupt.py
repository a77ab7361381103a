"""Ctrl-C as a request: the loop finishes its step, saves, and leaves."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any


class InterruptRequest:
    """While active, the first SIGINT or SIGTERM only sets ``asked``; a second one acts as usual.

    Attributes:
        says: whether it tells the user at once; a step may take long.
    """

    says = False

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
        if self.says:
            with suppress(OSError):  # no stream of Python's, which may be within a write
                os.write(2, b"\nstopping after this step, to save the run; Ctrl-C again stops at once\n")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
