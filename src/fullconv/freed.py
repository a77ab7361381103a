"""What the C library does with memory that was freed: glibc keeps some of it, which adds up or saves time."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_lasting, _counting = 0, threading.Lock()
_TRIM_THRESHOLD, _MMAP_MAX = 128 << 10, 65536  # glibc's defaults


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks for the next step instead of handing them back to the system.

    A training step frees and asks for the same large tensors again; fresh pages cost more than the arithmetic of
    a cheap layer. Does nothing where the C library is not glibc.
    """
    if (library := _glibc()) is not None:
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def hand_back_memory() -> None:
    """End what :func:`keep_freed_memory` began: glibc's defaults again, and what is free goes to the system."""
    if (library := _glibc()) is not None:
        library.mallopt(_M_MMAP_MAX, _MMAP_MAX)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        library.malloc_trim(0)


def hand_back_what_is_free() -> None:
    """Give the system the pages that glibc keeps of freed blocks.

    A network's layers ask for blocks of many sizes, and between those that are in use free ones stay: of an image in
    forty tiles 300 MiB more than of its first tile. Does nothing where the C library is not glibc.
    """
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """:func:`keep_freed_memory` while it lasts, and while another one does that began before it."""
    global _lasting
    with _counting:
        _lasting += 1
        if _lasting == 1:
            keep_freed_memory()
    try:
        yield
    finally:
        with _counting:
            _lasting -= 1
            if not _lasting:
                hand_back_memory()


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
