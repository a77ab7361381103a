"""Requests of all clients, one network at a time: what waits together and has one size goes through it together."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.given import Given, read_given
from fullconv.label_map import Prediction
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size, predict_together
from fullconv.serving.metrics import Metrics
from fullconv.serving.models import Served
from fullconv.serving.problems import Problem

FINISHERS = 2
"""Threads that make answers of predictions."""
FINISHING = 4
"""Predictions that may wait for them, so that memory stays bounded."""
SLOW = 0.2
"""How much the last batch counts in the mean time of an image."""


@dataclass(eq=False)  # a job is only itself, whatever it holds
class Job:
    """One image of a request.

    Attributes:
        size: its height and width; only images of one size go together.
        asked: what is wanted beside labels.
        finish: makes the answer.
        until: when nobody waits for it any more, of ``time.monotonic``.
    """

    served: Served
    image: Given
    size: tuple[int, int]
    asked: Settings
    finish: Callable[[Prediction], Any]
    until: float
    future: Future[Any] = field(default_factory=Future)

    def goes_with(self, other: Job) -> bool:
        return self.served is other.served and self.size == other.size and self.asked == other.asked


class Queue:
    """A bounded queue before the networks of a server, and the thread that empties it.

    Args:
        most: requests that are accepted at once, from their first byte to their answer.
        batching: whether images of one size go through the network together.
    """

    def __init__(self, most: int, metrics: Metrics, batching: bool = True) -> None:
        self.most, self.batching, self._metrics = most, batching, metrics
        self.seconds = 0.0
        self._accepted = 0
        self._waiting = deque[Job]()
        self._changed = threading.Condition()
        self._stopping = False
        self._finishers = ThreadPoolExecutor(FINISHERS, "fullconv-finish")
        self._finishing = threading.BoundedSemaphore(FINISHING)
        self._thread = threading.Thread(target=self._work, name="fullconv-network", daemon=True)
        self._thread.start()

    @contextmanager
    def place(self, timeout: float) -> Iterator[None]:
        """Within it a request is accepted.

        Raises:
            Problem: 429, there are too many, or those before it take longer than it may wait; 503, the server stops.
        """
        with self._changed:
            if self._stopping:
                raise Problem(503, "the server is stopping; ask again where it runs next", {"Retry-After": "5"})
            wait = self._accepted * self.seconds
            if self._accepted >= self.most or wait > timeout:
                again = max(1, math.ceil(wait))
                raise Problem(
                    429, f"{self._accepted} requests are before this one; ask again in {again} seconds",
                    {"Retry-After": str(again)},
                )  # fmt: skip
            self._accepted += 1
            self._metrics.accepted.set(self._accepted)
        try:
            yield
        finally:
            with self._changed:
                self._accepted -= 1
                self._metrics.accepted.set(self._accepted)

    @property
    def accepted(self) -> int:
        return self._accepted

    @property
    def stopping(self) -> bool:
        return self._stopping

    def submit(self, job: Job) -> Future[Any]:
        """Let it wait for its turn; the answer is what :attr:`Job.finish` gives."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()
        return job.future

    def stop(self) -> None:
        """Accept nothing more, and wait for what was accepted."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._finishers.shutdown()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                first = self._waiting.popleft()
            start, jobs = time.monotonic(), [first]
            if not first.future.set_running_or_notify_cancel():
                continue
            if start > first.until:  # only now, when nobody can cancel it meanwhile
                _tell(first, TimeoutError())
                continue
            try:
                self._join(jobs)
                self._compute(jobs)
            except BaseException as error:  # every client is told, and the thread goes on
                for job in jobs:
                    _tell(job, error)
            spent = time.monotonic() - start
            self._metrics.network.inc(spent)
            each = spent / len(jobs)
            self.seconds = each if not self.seconds else (1 - SLOW) * self.seconds + SLOW * each

    def _join(self, jobs: list[Job]) -> None:
        """Add those behind the first that may go with it."""
        first = jobs[0]
        most = batch_size(first.served.segmenter, first.asked, first.size) if self.batching else 1
        with self._changed:
            for job in list(self._waiting) if most > 1 else ():
                if len(jobs) == most:
                    break
                if job.goes_with(first):
                    self._waiting.remove(job)
                    if job.future.set_running_or_notify_cancel():
                        jobs.append(job)

    def _compute(self, jobs: list[Job]) -> None:
        read = list[tuple[Job, np.ndarray]]()
        for job in jobs:
            try:
                read.append((job, read_given(job.image, job.served.segmenter.preprocessing)))
            except (DataError, UsageError) as error:
                _tell(job, Problem(422, str(error)))
            except MemoryError:
                raise
            except Exception as error:  # whatever a broken file makes of a decoder is the file's fault
                _tell(job, Problem(422, f"the image: cannot be read ({type(error).__name__}: {error})"))
        shapes = {pixels.shape for _, pixels in read}
        for shape in shapes:
            some = [(job, pixels) for job, pixels in read if pixels.shape == shape]
            first = some[0][0]
            self._metrics.batches.observe(len(some))
            found = predict_together(
                first.served.segmenter, [pixels for _, pixels in some], ["the image"] * len(some), first.asked
            )
            for (job, _), prediction in zip(some, found, strict=True):
                if isinstance(prediction, FullconvError):
                    _tell(job, prediction)
                    continue
                self._metrics.images.labels(job.served.name).inc()
                self._finishing.acquire()
                self._finishers.submit(self._finish, job, prediction)

    def _finish(self, job: Job, prediction: Prediction) -> None:
        try:
            job.future.set_result(job.finish(prediction))
        except BaseException as error:
            _tell(job, error)
        finally:
            self._finishing.release()


def _tell(job: Job, error: BaseException) -> None:
    if not job.future.done():
        job.future.set_exception(error)
