"""What one image costs, time and memory: a process of its own for each who computes, so that peaks are theirs alone.

``python -m fullconv.exporting.cost FILE RUNNER`` prints the two as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fullconv.errors import FullconvError
from fullconv.exported.geometry import LABELS
from fullconv.exported.runners import ExportedRunner
from fullconv.exporting.targets import SUFFIXES, TORCH
from fullconv.segmenter import Segmenter

SIDE = 512
RUNS = 5


class Cost(NamedTuple):
    """Of one image of 512x512.

    Attributes:
        seconds: the median of some runs after the first.
        memory: the most bytes that the process held, the libraries and the model too; None where nobody counts them.
    """

    seconds: float
    memory: int | None

    def __str__(self) -> str:
        memory = "" if self.memory is None else f", {self.memory / 2**20:,.0f} MiB at most in its process"
        return f"{1000 * self.seconds:,.0f} ms{memory}"


def cost(file: Path, runner: str) -> Cost:
    """Measured in another process.

    Args:
        file: a model file or an artefact.
        runner: who computes it.

    Raises:
        FullconvError: that process failed.
    """
    command = [sys.executable, "-m", "fullconv.exporting.cost", str(file), runner]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise FullconvError(f"{runner} failed on an image of {SIDE}x{SIDE} ({last[:300]}); nothing was written")
    seconds, memory = json.loads(done.stdout.strip().splitlines()[-1])
    return Cost(seconds, memory)


def measure(file: str, runner: str) -> Cost:
    """Measured in this process, which should do nothing else."""
    channels, compute = _opened(Path(file), runner)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, channels), dtype=np.uint8)
    seconds = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        compute(pixels)
        seconds.append(time.perf_counter() - start)
    return Cost(sorted(seconds[1:])[RUNS // 2], _peak())


def _opened(file: Path, runner: str) -> tuple[int, Callable[[np.ndarray], object]]:
    """The channels of its images, and what makes labels of one."""
    if file.suffix == SUFFIXES[TORCH]:
        from fullconv.exporting.program import open_torch

        program, channels = open_torch(file)
        return channels, lambda pixels: program.run(pixels[None], (LABELS,))
    segmenter = Segmenter.load(file, "cpu", "fp32", runner)
    computer, channels = segmenter.runner, segmenter.preprocessing.channels
    if isinstance(computer, ExportedRunner):
        exported = computer
        return channels, lambda pixels: exported.run(pixels[None], (LABELS,))
    return channels, segmenter.predict_pixels


def _peak() -> int | None:
    """From Linux's own count: ``getrusage`` would give the parent's peak where that is larger."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return 1024 * int(rows["VmHWM"].split()[0])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
