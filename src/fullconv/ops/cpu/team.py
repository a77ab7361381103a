"""The threads of PyTorch's own OpenMP, for Python code that releases Python's lock.

Threads of a pool of ours would share the cores with those, which keep spinning for some milliseconds after each
operation of PyTorch: a kernel right after a convolution took up to twice its time (``benchmarks/README.md``).
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_forked = False


def has_team() -> bool:
    """Whether PyTorch's OpenMP can be asked: GNU's or one that is compatible (Linux), and not in a forked process."""
    return not _forked and _gnu_parallel() is not None


def call_in_team(body: Callable[[], None], threads: int) -> None:
    """Calls ``body`` once in each of ``threads`` threads, one of which is the caller's, and waits for all.

    Raises:
        BaseException: the first that ``body`` raised.
    """
    raised: list[BaseException] = []

    def guarded(_: object) -> None:
        try:
            body()
        except BaseException as error:  # ctypes would print it and go on
            raised.append(error)

    parallel = _gnu_parallel()
    assert parallel is not None
    parallel(_BODY(guarded), None, threads, 0)
    if raised:
        raise raised[0]


@functools.cache
def _gnu_parallel() -> Any:
    """libgomp's entry of a parallel region, as PyTorch's own library finds it; None where it is another OpenMP."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        parallel = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    parallel.argtypes = (_BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return parallel


def _forget() -> None:
    global _forked
    _forked = True  # the team did not survive


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
