"""From a door to the queue and back: what every door does with an image."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from fullconv.errors import FullconvError, NotFiniteError
from fullconv.given import Given
from fullconv.label_map import Prediction
from fullconv.prediction.settings import Settings
from fullconv.serving.limits import Limits
from fullconv.serving.metrics import Metrics
from fullconv.serving.models import Models, Served
from fullconv.serving.problems import Problem
from fullconv.serving.queue import Job, Queue


@dataclass(frozen=True)
class Server:
    """What the doors share."""

    models: Models
    queue: Queue
    limits: Limits
    metrics: Metrics

    def patience(self, request: Request) -> float:
        """Seconds that a client waits: ``Prefer: wait=5`` (RFC 7240), at most the server's limit."""
        asked = re.search(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])", request.headers.get("prefer", ""))
        return min(self.limits.timeout, float(asked[1])) if asked else self.limits.timeout

    async def ask(
        self, served: Served, image: Given, size: tuple[int, int], asked: Settings,
        finish: Callable[[Prediction], Any], timeout: float,
    ) -> Any:  # fmt: skip
        """What ``finish`` makes of the prediction.

        Raises:
            Problem: there is none.
        """
        job = Job(served, image, size, asked, finish, time.monotonic() + timeout)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.queue.submit(job)), timeout)
        except TimeoutError:
            raise Problem(
                503, f"no answer within {timeout:g} seconds; ask again, or send a smaller image", {"Retry-After": "5"}
            ) from None
        except NotFiniteError as error:
            raise Problem(500, str(error)) from error
        except FullconvError as error:
            raise Problem(422, str(error)) from error
        except MemoryError as error:
            raise Problem(503, "out of memory; send a smaller image", {"Retry-After": "5"}) from error
