"""One pool of threads for all kernels (they release Python's lock), as many as PyTorch uses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

SHARES = 4
"""Of a thread, at least: handing one over costs some 50 microseconds, and threads do not end together."""
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
    if torch.get_num_threads() <= 1 or len(tasks) <= 1 or getattr(_within, "a_task", False):
        return [function(*task) for task in tasks]
    few = max(1, len(tasks) // (SHARES * torch.get_num_threads()))  # tasks that are handed over at once
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
