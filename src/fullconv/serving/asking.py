"""From a door to the queue and back: what every door does with an image."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request

from fullconv.errors import FullconvError, NotFiniteError
from fullconv.given import Given
from fullconv.label_map import Prediction
from fullconv.prediction.settings import Settings
from fullconv.serving.deadline import Deadline
from fullconv.serving.limits import Limits
from fullconv.serving.metrics import Metrics
from fullconv.serving.models import Models, Served
from fullconv.serving.problems import Problem
from fullconv.serving.queue import Job, Queue

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """What the doors share."""

    models: Models
    queue: Queue
    limits: Limits
    metrics: Metrics

    def deadline(self, request: Request) -> Deadline:
        """Until when a client waits: ``Prefer: wait=5`` (RFC 7240), at most the server's limit."""
        asked = re.search(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])", request.headers.get("prefer", ""))
        return Deadline.after(min(self.limits.timeout, float(asked[1])) if asked else self.limits.timeout)

    async def ask(
        self, served: Served, image: Given, size: tuple[int, int], asked: Settings,
        finish: Callable[[Prediction], Any], deadline: Deadline, polygons: bool = False,
    ) -> Any:  # fmt: skip
        """What ``finish`` makes of the prediction; ``polygons``: it makes polygons.

        Raises:
            Problem: there is none.
        """
        job = Job(served, image, size, asked, finish, deadline, polygons)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.queue.submit(job)), deadline.left)
        except TimeoutError:
            raise Problem(
                503,
                f"no answer within {deadline.seconds:g} seconds; ask again, or send a smaller image",
                {"Retry-After": "5"},
            ) from None
        except NotFiniteError as error:
            raise Problem(500, str(error)) from error
        except FullconvError as error:
            raise Problem(422, str(error)) from error
        except MemoryError as error:
            raise Problem(503, "out of memory; send a smaller image", {"Retry-After": "5"}) from error


async def while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives, which is given up when the client hangs up. The body has to be read before.

    Raises:
        Problem: the client is gone, so that nobody reads it.
    """
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise Problem(400, "the client hung up")
        return doing.result()
    finally:
        for task in (doing, gone):
            task.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
