"""What of the machine this process may use: its cores and memory, after affinity and control groups (containers)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path("/")


def usable_cores(system: Path = SYSTEM) -> int:
    """Cores that this process may run on at once: those of its affinity, at most its groups' share of time, at least 1.

    Args:
        system: the folder that holds ``proc`` and ``sys``.
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13; it also heeds PYTHON_CPU_COUNT
        count = os.process_cpu_count()
    else:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([count or 1, *(math.ceil(share) for share in _shares(system))]))


def busy() -> float:
    """Processes that want a core, on average of the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def sleep_while_waiting() -> None:
    """Let threads of GNU's OpenMP that wait for each other sleep after half a millisecond, unless the user says how.

    They would hold their cores for some 16 ms: on two cores, beside one other process at work, a training step takes
    many times as long (``benchmarks/README.md``). Heeded only before PyTorch is loaded.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def default_workers(workers: int | None) -> int:
    """One reading process per core that this process may use beyond the first, at most 8."""
    if workers is not None:
        return workers
    return min(8, max(1, usable_cores() - 1))


def free_memory(system: Path = SYSTEM) -> int | None:
    """Bytes that this process can still take, within the limits of its groups; None where the system does not say."""
    info = system / "proc" / "meminfo"
    if not info.is_file():
        return None
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    if "MemAvailable" not in fields:
        return None
    return max(0, min([int(fields["MemAvailable"].split()[0]) * 1024, *_left(system)]))


def _shares(system: Path) -> Iterator[float]:
    """Cores' worth of time that each control group around this process may use (``cpu.max``, or version 1's quota)."""
    for folder in _groups(system, "cpu"):
        older = (*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us"))
        quota, period = (*(_numbers(folder / "cpu.max") or older), 0, 0)[:2]  # a quota of -1: no limit
        if quota > 0 and period > 0:
            yield quota / period


def _left(system: Path) -> Iterator[int]:
    """What each control group around this process has left of its memory; cached files can be dropped."""
    for folder in _groups(system, "memory"):
        for limit, used, key in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            bounds, usage = _numbers(folder / limit), _numbers(folder / used)
            if bounds and usage:
                yield bounds[0] - usage[0] + _field(folder / "memory.stat", key)


def _groups(system: Path, controller: str) -> Iterator[Path]:
    """The folders of the groups that this process is in, from its own up to the root, of both versions.

    In a container the path in ``/proc/self/cgroup`` may be the host's, which is not there: then the root is its own.
    """
    membership = system / "proc" / "self" / "cgroup"
    if not membership.is_file():
        return
    top = system / "sys" / "fs" / "cgroup"
    for line in membership.read_text().splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        roots = [top / controllers, top / controller] if controllers else [top, top / "unified"]
        for root in dict.fromkeys(root for root in roots if root.is_dir()):
            own = root / path.lstrip("/")
            for folder in (own, *own.parents):
                if folder.is_dir() and folder.is_relative_to(root):
                    yield folder


def _numbers(file: Path) -> tuple[int, ...]:
    """The whole numbers of a small file; none where it is missing or says ``max``."""
    try:
        return tuple(int(word) for word in file.read_text().split())
    except (OSError, ValueError):
        return ()


def _field(file: Path, key: str) -> int:
    try:
        rows = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == key), 0)
