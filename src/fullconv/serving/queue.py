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

from fullconv.errors import DataError, FullconvError, UsageError, plural
from fullconv.given import Given, read_given
from fullconv.label_map import Prediction
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size, predict_together
from fullconv.serving.deadline import Deadline
from fullconv.serving.metrics import Metrics
from fullconv.serving.models import Served
from fullconv.serving.problems import Problem

FINISHERS = 2
"""Threads that make answers of predictions."""
FINISHING = 4
"""Predictions that may wait for them, so that memory stays bounded."""
POLYGONS = 4
"""Predictions that may wait to be made into polygons; further ones are refused, so that the network waits for none."""
LAST = 0.2
"""How much the last batch counts in the mean time of a pixel."""
LONGEST = 60
"""Seconds, the most that Retry-After says."""


@dataclass(eq=False)  # a job is only itself, whatever it holds
class Job:
    """One image of a request.

    Attributes:
        size: its height and width; only images of one size go together.
        asked: what is wanted beside labels.
        finish: makes the answer.
        deadline: when nobody waits for it any more.
        polygons: whether ``finish`` makes polygons, which takes long where pieces are many.
    """

    served: Served
    image: Given
    size: tuple[int, int]
    asked: Settings
    finish: Callable[[Prediction], Any]
    deadline: Deadline
    polygons: bool = False
    future: Future[Any] = field(default_factory=Future)

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    def goes_with(self, other: Job) -> bool:
        return self.served is other.served and self.size == other.size and self.asked == other.asked


@dataclass
class _Pace:
    """Seconds a pixel of a model's version; 0: not known, since its first batch warms up."""

    version: str
    seconds: float = 0.0


class Queue:
    """A bounded queue before the networks of a server, and the thread that empties it.

    Args:
        most: images that are accepted at once, from the first byte of their request to its answer.
        batching: whether images of one size go through the network together.
    """

    def __init__(self, most: int, metrics: Metrics, batching: bool = True) -> None:
        self.most, self.batching, self._metrics = most, batching, metrics
        self._accepted, self._paces = 0, dict[str, _Pace]()
        self._waiting, self._running = deque[Job](), list[Job]()
        self._changed = threading.Condition()
        self._stopping = self._ending = False
        self._finishers = ThreadPoolExecutor(FINISHERS, "fullconv-finish")
        self._finishing = threading.BoundedSemaphore(FINISHING)
        self._tracers = ThreadPoolExecutor(1, "fullconv-polygons")
        self._tracing = threading.BoundedSemaphore(POLYGONS)
        self._thread = threading.Thread(target=self._work, name="fullconv-network", daemon=True)
        self._thread.start()

    @contextmanager
    def place(self, deadline: Deadline, images: int = 1) -> Iterator[None]:
        """Within it so many images of a request are accepted.

        Raises:
            Problem: 429, there are too many, or those before take longer than it may wait; 503, the server stops.
        """
        with self._changed:
            if self._stopping:
                raise Problem(503, "the server is stopping; ask again where it runs next", {"Retry-After": "5"})
            if self._accepted + images > self.most:
                raise self._busy()
            self._refuse_if_long(deadline)
            self._accepted += images
            self._metrics.accepted.set(self._accepted)
        try:
            yield
        finally:
            with self._changed:
                self._accepted -= images
                self._metrics.accepted.set(self._accepted)

    @property
    def accepted(self) -> int:
        return self._accepted

    @property
    def stopping(self) -> bool:
        return self._stopping

    def submit(self, job: Job) -> Future[Any]:
        """Let it wait for its turn; the answer is what :attr:`Job.finish` gives.

        Raises:
            Problem: 429, those before it take longer than it may wait.
        """
        job.future.add_done_callback(lambda future: self._drop(job) if future.cancelled() else None)
        with self._changed:
            self._refuse_if_long(job.deadline)
            self._waiting.append(job)
            self._changed.notify_all()
        return job.future

    def _drop(self, job: Job) -> None:
        """Forget what nobody waits for, its bytes too."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _before(self) -> float:
        """Seconds that the network needs for what is in line, as far as they are known."""
        paces = self._paces
        return sum(
            paces[job.served.name].seconds * job.pixels
            for job in (*self._running, *self._waiting)
            if job.served.name in paces
        )

    def _refuse_if_long(self, deadline: Deadline) -> None:
        if self._before() > max(deadline.left, 1e-3):
            raise self._busy()

    def _busy(self) -> Problem:
        again = min(LONGEST, max(1, math.ceil(self._before())))
        return Problem(
            429, f"{plural(self._accepted, 'image', 'is')} before this one; ask again in {plural(again, 'second')}",
            {"Retry-After": str(again)},
        )  # fmt: skip

    def close(self) -> None:
        """Accept nothing more; what was accepted may still be on its way."""
        self._stopping = True  # without the lock: a signal may come while this thread holds it

    def stop(self) -> None:
        """Accept nothing more, and wait for what was accepted."""
        with self._changed:
            self._stopping = self._ending = True
            self._changed.notify_all()
        self._thread.join()
        self._finishers.shutdown()
        self._tracers.shutdown()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = []
                self._changed.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                first = self._waiting.popleft()
                self._running = jobs = [first]
            start = time.monotonic()
            if not first.future.set_running_or_notify_cancel():
                continue
            if start > first.deadline.at:  # only now, when nobody can cancel it meanwhile
                _tell(first, TimeoutError())
                continue
            try:
                self._join(jobs)
                if self._compute(jobs):
                    self._learn(first.served, (time.monotonic() - start) / sum(job.pixels for job in jobs))
            except BaseException as error:  # every client is told, and the thread goes on
                for job in jobs:
                    _tell(job, error)
            self._metrics.network.inc(time.monotonic() - start)

    def _learn(self, served: Served, pixel: float) -> None:
        """Count the seconds of a pixel, but for those of a model's first batch."""
        known = self._paces.get(served.name)
        if known is None or known.version != served.version:
            self._paces[served.name] = _Pace(served.version)
        else:
            known.seconds = (1 - LAST) * known.seconds + LAST * pixel if known.seconds else pixel

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

    def _compute(self, jobs: list[Job]) -> bool:
        """Whether all of them could be read."""
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
                self._hand_over(job, prediction)
        return len(read) == len(jobs)

    def _hand_over(self, job: Job, prediction: Prediction) -> None:
        """Have the answer made beside the network."""
        if not job.polygons:
            self._finishing.acquire()
            self._finishers.submit(self._finish, job, prediction, self._finishing)
        elif self._tracing.acquire(blocking=False):
            self._tracers.submit(self._finish, job, prediction, self._tracing)
        else:
            _tell(job, Problem(503, f"{POLYGONS} images wait to be made polygons; ask again", {"Retry-After": "5"}))

    def _finish(self, job: Job, prediction: Prediction, place: threading.BoundedSemaphore) -> None:
        try:
            if not job.deadline.left:
                raise TimeoutError
            job.future.set_result(job.finish(prediction))
        except BaseException as error:
            _tell(job, error)
        finally:
            place.release()


def _tell(job: Job, error: BaseException) -> None:
    if not job.future.done():
        job.future.set_exception(error)
