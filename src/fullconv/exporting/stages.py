"""What an export is at: stages one after the other, of which some count images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Told = Callable[[str, int, int | None], None]
"""Takes a stage in words, how many of its images are done, and of how many; None where it counts none."""
Item = TypeVar("Item")


def silent(stage: str, done: int, total: int | None) -> None:
    """Nobody asks."""


def counted(told: Told, stage: str, items: Iterable[Item], total: int) -> Iterator[Item]:
    """``items``, and tells of each that is taken."""
    told(stage, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        told(stage, done, total)
