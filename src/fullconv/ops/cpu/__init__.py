"""The processor's kernels, compiled by numba: one pass over a strip that stays in the cache, on every core."""

from __future__ import annotations

import contextlib
from pathlib import Path


def _drop_stale_machine_code() -> None:
    """numba keeps compiled kernels beside their source and looks at that one file's time only; they call each other."""
    here = Path(__file__).parent
    newest = max(path.stat().st_mtime for path in here.glob("*.py"))
    for index in (here / "__pycache__").glob("*.nbi"):
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()


_drop_stale_machine_code()
