"""Tasks of kernels (they release Python's lock) side by side: in PyTorch's own threads, else in one pool of ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from fullconv.ops.cpu.team import call_in_team, has_team

SHARES = 4
"""Of a thread of the pool, at least: handing one over costs some 50 microseconds, and threads do not end together."""
T = TypeVar("T")
_pool: ThreadPoolExecutor | None = None
_size = 0
_lock = threading.Lock()
_within = threading.local()


def run_all(function: Callable[..., T], tasks: Iterable[tuple[object, ...]]) -> list[T]:
    """``[function(*task) for task in tasks]``, side by side; results in the order of the tasks.

    A task that has tasks of its own does them itself: threads that wait for threads of their own pool never end.
    """
    tasks = list(tasks)
    threads = min(len(tasks), torch.get_num_threads())
    if threads <= 1 or getattr(_within, "a_task", False):
        return [function(*task) for task in tasks]
    return (_in_team if has_team() else _in_pool)(function, tasks, threads)


def _in_team(function: Callable[..., T], tasks: list[tuple[object, ...]], threads: int) -> list[T]:
    results: dict[int, T] = {}
    numbered = enumerate(tasks)  # each thread takes the next

    def work() -> None:
        _within.a_task = True
        try:
            for number, task in numbered:
                results[number] = function(*task)
        finally:
            _within.a_task = False  # one of the threads is the caller's

    call_in_team(work, threads)
    return [results[number] for number in range(len(tasks))]


def _in_pool(function: Callable[..., T], tasks: list[tuple[object, ...]], threads: int) -> list[T]:
    few = max(1, len(tasks) // (SHARES * threads))  # tasks that are handed over at once
    shares = [tasks[first : first + few] for first in range(0, len(tasks), few)]
    done = _threads().map(lambda share: [function(*task) for task in share], shares)
    return [result for share in done for result in share]


def _threads() -> ThreadPoolExecutor:
    global _pool, _size
    with _lock:
        if _pool is None or _size != torch.get_num_threads():
            if _pool is not None:
                _pool.shutdown(wait=False)
            _size = torch.get_num_threads()
            _pool = ThreadPoolExecutor(_size, thread_name_prefix="fullconv", initializer=_begin)
        return _pool


def _begin() -> None:
    _within.a_task = True


def _forget() -> None:
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads do not survive a fork
