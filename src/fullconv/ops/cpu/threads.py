"""One pool of threads for all kernels (they release Python's lock), as many as PyTorch uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
_pools: dict[int, ThreadPoolExecutor] = {}


def run_all(function: Callable[..., T], tasks: Iterable[tuple[object, ...]]) -> list[T]:
    """``[function(*task) for task in tasks]``, side by side; results in the order of the tasks."""
    tasks = list(tasks)
    threads = min(torch.get_num_threads(), len(tasks))
    if threads <= 1:
        return [function(*task) for task in tasks]
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="fullconv")
    return list(_pools[threads].map(lambda task: function(*task), tasks))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork
