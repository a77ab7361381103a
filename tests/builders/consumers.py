"""Other programs that read exports: their own Python, where this one has not the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def python_with(module: str, variable: str) -> str:
    """A Python that has a module: the one that an environment variable names, else this; skips where it has not."""
    python = os.environ.get(variable, sys.executable)
    if subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{module} is not installed; {variable} may name a Python that has it")
    return python


def run_script(python: str, script: str, *arguments: str | Path, path: str = "") -> None:
    """Run a script in another process, with ``path`` to import from."""
    environment = {**os.environ, "PYTHONPATH": path} if path else None
    command = [python, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]


def patches(height: int, width: int, channels: int = 3) -> np.ndarray:
    """An image of uneven squares of colour, uint8 ``[height, width, channels]``."""
    random = np.random.default_rng(6)
    squares = random.integers(0, 256, (height // 9 + 1, width // 9 + 1, channels), dtype=np.uint8)
    return squares.repeat(9, 0).repeat(9, 1)[:height, :width]
