"""Until when a client waits: one moment for all that is done for it, from the first byte to the answer."""

from __future__ import annotations

import time
from typing import NamedTuple


class Deadline(NamedTuple):
    """A moment, and how long it was until then when it was made.

    Attributes:
        seconds: that the client waits altogether.
        at: of ``time.monotonic``.
    """

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds, from 0."""
        return max(0.0, self.at - time.monotonic())
