"""Images read ahead of the network: looked at, put into batches of one size, and decoded by threads."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from fullconv.machine import usable_cores

Name = TypeVar("Name")
IMAGES_AHEAD = 32
"""At most so many images wait decoded, or are being decoded,"""
ROOM = 1 << 28
"""and together they take at most so many bytes, if it is not one batch alone that takes more."""
CHUNK = 64
"""Among so many images in a row those of one size are found; the result does not depend on how fast they are read."""


def threads() -> int:
    """How many read, and how many write."""
    return min(8, max(2, usable_cores()))


class Look(NamedTuple):
    """What an image's header says.

    Attributes:
        size: ``(height, width)``; None: it is not read whole, but goes alone, in its turn.
        note: to be said of it.
    """

    size: tuple[int, int] | None
    note: str = ""


@dataclass
class Reading(Generic[Name]):
    """An image on its way to the network.

    Attributes:
        index: its place in the order.
        look: its header; a future that has come.
        pixels: uint8 ``[height, width, channels]``, or why not; None: it is not read whole.
    """

    index: int
    name: Name
    look: Future[Look]
    pixels: Future[np.ndarray] | None = None


def read_ahead(
    names: Iterable[Name],
    look: Callable[[Name], Look],
    read: Callable[[Name], np.ndarray],
    together: Callable[[tuple[int, int]], int],
    channels: int,
) -> Generator[list[Reading[Name]]]:
    """Batches of images of one size, while the next ones are read. What cannot be read is a batch of its own.

    Args:
        look: reads an image's header.
        read: decodes an image.
        together: how many images of a size make a batch at most.
        channels: of the images.
    """
    pool = ThreadPoolExecutor(threads(), "read")
    waiting: deque[tuple[list[Reading[Name]], int]] = deque()
    try:
        for batch in _planned(names, look, together, pool):
            taken = sum(_bytes(one, channels) for one in batch)
            while waiting and (
                sum(size for _, size in waiting) + taken > ROOM
                or sum(len(others) for others, _ in waiting) + len(batch) > IMAGES_AHEAD
            ):
                yield waiting.popleft()[0]
            for one in batch:
                if _bytes(one, channels):
                    one.pixels = pool.submit(read, one.name)
            waiting.append((batch, taken))
        while waiting:
            yield waiting.popleft()[0]
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()  # what was given out may still be on its way


def _bytes(reading: Reading[Name], channels: int) -> int:
    """Of the decoded image; 0 where it is not to be decoded."""
    if reading.look.exception() is not None:
        return 0
    size = reading.look.result().size
    return 0 if size is None else size[0] * size[1] * channels


def _planned(
    names: Iterable[Name],
    look: Callable[[Name], Look],
    together: Callable[[tuple[int, int]], int],
    pool: ThreadPoolExecutor,
) -> Iterator[list[Reading[Name]]]:
    """The batches of each chunk, whose headers are read while the one before is decoded."""
    numbered = enumerate(names)

    def next_chunk() -> list[Reading[Name]]:
        return [Reading(index, name, pool.submit(look, name)) for index, name in itertools.islice(numbered, CHUNK)]

    chunk = next_chunk()
    while chunk:
        following = next_chunk()
        for one in chunk:
            one.look.exception()  # waits
        yield from _batches(chunk, together)
        chunk = following


def _batches(
    chunk: Sequence[Reading[Name]], together: Callable[[tuple[int, int]], int]
) -> Iterator[list[Reading[Name]]]:
    """Those of one size, as many as go together, by the order of their first."""
    open_at: dict[tuple[int, int], list[Reading[Name]]] = {}
    batches: list[list[Reading[Name]]] = []
    for one in chunk:
        size = None if one.look.exception() is not None else one.look.result().size
        batch = open_at.get(size) if size is not None else None
        if batch is None or (size is not None and len(batch) >= together(size)):
            batches.append(batch := [])
            if size is not None:
                open_at[size] = batch
        batch.append(one)
    yield from batches
