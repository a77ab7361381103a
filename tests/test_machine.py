"""Cores and memory of containers, on made-up files of the kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fullconv.machine import default_workers, free_memory, usable_cores


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 cores and 8 GiB; this process may run on 16 of the cores."""
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    write(tmp_path, "proc/meminfo", f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n")
    return tmp_path


def write(system: Path, name: str, text: str) -> None:
    (system / name).parent.mkdir(parents=True, exist_ok=True)
    (system / name).write_text(text)


def test_without_limits_the_affinity_counts(system: Path) -> None:
    assert usable_cores(system) == 16
    assert free_memory(system) == 8 << 30
    write(system, "proc/self/cgroup", "0::/user.slice\n")
    write(system, "sys/fs/cgroup/user.slice/cpu.max", "max 100000\n")
    write(system, "sys/fs/cgroup/user.slice/memory.max", "max\n")
    assert usable_cores(system) == 16
    assert free_memory(system) == 8 << 30


def test_affinity_of_older_pythons(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 6}, raising=False)
    assert usable_cores(system) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores(system) == 12


@pytest.mark.parametrize(
    ("quota", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("9900000 100000", 16)]
)
def test_quota_of_a_container_of_version_2(quota: str, cores: int, system: Path) -> None:
    """Its own group is the root of what it sees; half a core more is a core that can be used half of the time."""
    write(system, "proc/self/cgroup", "0::/\n")
    write(system, "sys/fs/cgroup/cpu.max", quota + "\n")
    assert usable_cores(system) == cores


def test_the_smallest_limit_on_the_way_to_the_root_counts(system: Path) -> None:
    write(system, "proc/self/cgroup", "0::/pod/one/job\n")
    write(system, "sys/fs/cgroup/pod/one/job/cpu.max", "max 100000\n")
    write(system, "sys/fs/cgroup/pod/one/cpu.max", "800000 100000\n")
    write(system, "sys/fs/cgroup/pod/cpu.max", "300000 100000\n")
    assert usable_cores(system) == 3
    write(system, "sys/fs/cgroup/pod/memory.max", f"{2 << 30}\n")
    write(system, "sys/fs/cgroup/pod/memory.current", f"{1 << 30}\n")
    assert free_memory(system) == 1 << 30
    write(system, "sys/fs/cgroup/pod/memory.stat", f"anon 5\ninactive_file {512 << 20}\n")  # can be dropped
    assert free_memory(system) == 3 << 29


@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_version_1(path: str, system: Path) -> None:
    """Under docker the path is the host's and is not there: the root of the controller is the container's group."""
    write(system, "proc/self/cgroup", f"4:memory:{path}\n3:cpu,cpuacct:{path}\n2:cpuset:/\n0::/\n")
    write(system, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n")
    write(system, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    write(system, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{3 << 30}\n")
    write(system, "sys/fs/cgroup/memory/memory.usage_in_bytes", f"{2 << 30}\n")
    write(system, "sys/fs/cgroup/memory/memory.stat", f"total_inactive_file {1 << 20}\n")
    assert usable_cores(system) == 4
    assert free_memory(system) == (1 << 30) + (1 << 20)
    write(system, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write(system, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert usable_cores(system) == 16
    assert free_memory(system) == 8 << 30


def test_what_cannot_be_read_limits_nothing(system: Path, tmp_path: Path) -> None:
    write(system, "proc/self/cgroup", "0::/a\nnonsense\n")
    write(system, "sys/fs/cgroup/a/cpu.max", "lots\n")
    assert usable_cores(system) == 16
    assert free_memory(tmp_path / "no such system") is None


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 3), (64, 8)])
def test_workers_leave_a_core_for_the_step(cores: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullconv.machine.usable_cores", lambda: cores)
    assert default_workers(None) == workers
    assert default_workers(0) == 0
