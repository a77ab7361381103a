"""When a run draws its pictures: they cost seconds, and epochs may be short."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SHARE = 0.1
"""Of the time, that drawing may take."""


class Drawing:
    """When a run draws: its first epoch, later ones within :data:`SHARE` of the time, and the last one.

    Args:
        draw: the pictures of the epoch that ended last.
        tell: how many seconds that took.
    """

    def __init__(self, draw: Callable[[], None], tell: Callable[[float], None]) -> None:
        self._draw, self._tell = draw, tell
        self._took, self._ended, self._due = 0.0, -math.inf, False

    def after_epoch(self) -> None:
        self._due = True
        if time.monotonic() - self._ended >= self._took / SHARE:
            self.at_end()

    def at_end(self) -> None:
        """Of the last epoch, unless they are drawn already."""
        if self._due:
            began = time.monotonic()
            self._draw()
            self._ended = time.monotonic()
            self._took, self._due = self._ended - began, False
            self._tell(self._took)
