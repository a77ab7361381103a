"""Batches side by side on the cores of a processor, each computed by one thread.

Threads that share a pass of the network wait for each other at the end of every layer, all the longer where others read
and write files meanwhile. Passes of one thread each do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TypeVar

import torch

from fullconv.freed import freed_memory_kept
from fullconv.runner import Runner
from fullconv.spec import Preprocessing
from fullconv.tiling import TILE

MOST = 8
"""Streams: Python is a part of each pass, and only one thread at a time runs it."""
ROOM = TILE * TILE
"""Pixels in the network at a time, of all streams together: as many as of an image in tiles, so memory is the same."""
Batch = TypeVar("Batch")
Found = TypeVar("Found")


def count(runner: Runner, images: int = MOST) -> int:
    """How many batches are computed side by side, of at least so many; 1: one by one, by all threads."""
    streams = min(MOST, torch.get_num_threads()) if runner.side_by_side else 1
    return streams if images >= streams else 1


def most_pixels(preprocessing: Preprocessing, size: tuple[int, int]) -> int:
    """Of an image of ``(height, width)``: what the network sees or what is labelled, whichever is more."""
    seen = preprocessing.resize or size
    return max(size[0] * size[1], seen[0] * seen[1])


def in_streams(
    batches: Iterable[Batch],
    streams: int,
    fits: Callable[[Batch, int], bool],
    compute: Callable[[Batch], Found | None],
) -> Generator[tuple[Batch, Found | None]]:
    """Each batch and what is computed of it, in order; None where that is left to the caller: then no stream computes.

    Args:
        streams: how many at a time.
        fits: whether a batch has no more than so many pixels, and can be computed by any thread.
        compute: what a stream does; None: it could not.
    """
    threads = torch.get_num_threads()
    waiting: deque[tuple[Batch, Future[Found | None]]] = deque()
    keeping, kept = False, ExitStack()

    def first() -> tuple[Batch, Found | None]:
        batch, future = waiting.popleft()
        found = future.result()
        if found is None:
            wait([other for _, other in waiting])
        return batch, found

    # PyTorch keeps the number for each thread, the caller's too, and one for threads that begin later
    pool = ThreadPoolExecutor(streams, "stream", torch.set_num_threads, (1,))
    try:
        for batch in batches:
            fitting = streams > 1 and fits(batch, ROOM // streams)
            while waiting and (not fitting or len(waiting) > streams):
                yield first()
            if fitting != keeping:
                kept.close()
                if fitting:
                    kept.enter_context(freed_memory_kept())  # fresh pages cost a fifth of a small pass
                keeping = fitting
            if fitting:
                waiting.append((batch, pool.submit(compute, batch)))
            else:
                yield batch, None
        while waiting:
            yield first()
    finally:
        pool.shutdown(cancel_futures=True)
        kept.close()
        torch.set_num_threads(threads)
