"""What is predicted is written by threads behind the network, and told of in the order of the images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from fullconv.prediction.read_ahead import ROOM, threads


class WriteBehind:
    """Writes in threads. At most :data:`ROOM` bytes wait, or one image; the results come in the order of the images.

    Args:
        told: called in the caller's thread with each image's index and the future of its result.
    """

    def __init__(self, told: Callable[[int, Future[Path]], None]) -> None:
        self._told = told
        self._pool = ThreadPoolExecutor(threads(), "write")
        self._waiting: deque[tuple[Future[Path], int]] = deque()
        self._results: dict[int, Future[Path]] = {}
        self._next = 0

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()  # what is computed is written, whatever comes after it
        if kind is None:
            self._tell()

    def write(self, index: int, taken: int, task: Callable[[], Path]) -> None:
        """Have ``task`` run; it holds ``taken`` bytes."""
        while self._waiting and (self._waiting[0][0].done() or sum(size for _, size in self._waiting) + taken > ROOM):
            future, _ = self._waiting.popleft()
            future.exception()  # waits
        future = self._pool.submit(task)
        self._waiting.append((future, taken))
        self._results[index] = future
        self._tell()

    def settle(self, index: int, result: Path | Exception) -> None:
        """There is nothing to write of an image: it is written, or cannot be."""
        future: Future[Path] = Future()
        if isinstance(result, Path):
            future.set_result(result)
        else:
            future.set_exception(result)
        self._results[index] = future
        self._tell()

    def _tell(self) -> None:
        while self._next in self._results and self._results[self._next].done():
            index, self._next = self._next, self._next + 1
            self._told(index, self._results.pop(index))
