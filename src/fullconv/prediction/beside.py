"""Files beside the network: windows are read before they are asked for, rows written while the next are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fullconv.images.values import Pixels


class Ahead:
    """Reads the window after the one that is asked for in a thread of its own.

    Args:
        read: reads a window.
        order: the windows in which they will be asked for.
    """

    def __init__(self, read: Callable[[slice, slice], Pixels], order: Iterator[tuple[slice, slice]]) -> None:
        self._read, self._order = read, order
        self._thread = ThreadPoolExecutor(1)
        self._next: Future[Pixels] | None = None

    def __enter__(self) -> Ahead:
        self._begin()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def read(self, rows: slice, columns: slice) -> Pixels:
        """The window that ``order`` named next."""
        assert self._next is not None
        pixels = self._next.result()
        assert pixels.image.shape[:2] == (rows.stop - rows.start, columns.stop - columns.start)
        self._begin()
        return pixels

    def _begin(self) -> None:
        window = next(self._order, None)
        self._next = None if window is None else self._thread.submit(self._read, *window)


class Behind:
    """Writes rows in a thread of its own, in order; the end waits for the last, also where an error ends it.

    Args:
        append: writes rows of some maps; what it raises comes with the next ones, or at the end.
    """

    def __init__(self, append: Callable[[Sequence[np.ndarray]], None]) -> None:
        self._append = append
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._thread.shutdown()
        if kind is None and self._last is not None:
            self._last.result()

    def write(self, rows: Sequence[np.ndarray]) -> None:
        """Let them be written; waits for those before, so that no more than two lots are in memory."""
        if self._last is not None:
            self._last.result()
        self._last = self._thread.submit(self._append, rows)
