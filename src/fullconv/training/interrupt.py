"""Ctrl-C as a request: the loop finishes its step, saves, and leaves. It is answered at once, however long the step."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 2.0
"""Seconds in which the main thread leaves by itself after the second signal, unless it is deep in a computation."""


class InterruptRequest:
    """While active, the first SIGINT or SIGTERM only sets ``asked``; a second one stops at once.

    Python hands signals to the main thread between two of its own instructions, and a step's gradients are a single
    one, as is much of compiling. So a thread reads them as they come, answers, and ends the process where it has to.

    Attributes:
        asked: whether the first has come.
        answer: says that it has.
        last_words: says what is left, where the process is ended within a step.
    """

    def __init__(self) -> None:
        self.asked = False
        self.answer: Callable[[], None] = lambda: None
        self.last_words: Callable[[], None] = lambda: None
        self._previous: dict[int, Any] = {}
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._again, self._left = False, threading.Event()

    def __enter__(self) -> InterruptRequest:
        if threading.current_thread() is threading.main_thread():
            self._listen()
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *details: object) -> None:
        self._left.set()
        self._restore()
        if self._ends is not None:
            signal.set_wakeup_fd(-1)
            _listening.discard(self._ends[1].fileno())
            self._ends[1].close()  # which ends the thread
            self._ends = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        if self._ends is None:
            threading.Thread(target=self.answer).start()  # not here, which may be within a line that is printed
        if self._again:  # both came before this one was heard
            raise KeyboardInterrupt

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        heard, told = socket.socketpair()
        told.setblocking(False)
        before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        if before != -1:  # the program around listens already
            signal.set_wakeup_fd(before)
            heard.close()
            told.close()
            return
        self._ends = heard, told
        _listening.add(told.fileno())
        threading.Thread(target=self._hear, args=(heard,), daemon=True).start()

    def _hear(self, heard: socket.socket) -> None:
        count = 0
        with heard:
            while numbers := heard.recv(64):
                for number in numbers:
                    if number in SIGNALS:  # and no others that Python handles
                        count += 1
                        self._heard(count)

    def _heard(self, count: int) -> None:
        if count == 1:
            self.answer()
        elif count == 2:
            self._again = True
            if not self._left.wait(PATIENCE):
                self.last_words()
                sys.stdout.flush()
                os._exit(130)


_listening: set[int] = set()
"""What signals are told through, by its number."""


def _deaf() -> None:
    """A forked process shares the socket: its signals are not its parent's."""
    if _listening:
        _listening.clear()
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_deaf)
