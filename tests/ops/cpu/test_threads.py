"""Tasks side by side: in PyTorch's own threads, where they are GNU's, and else in a pool."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from fullconv.ops.cpu import threads
from fullconv.ops.cpu.team import has_team
from fullconv.ops.cpu.threads import run_all


@pytest.fixture(params=["team", "pool"], autouse=True)
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    if request.param == "pool":
        monkeypatch.setattr(threads, "has_team", lambda: False)
    elif not has_team():
        pytest.skip("PyTorch's OpenMP is not GNU's here")
    yield
    torch.set_num_threads(before)


def test_results_in_the_order_of_the_tasks() -> None:
    assert run_all(lambda n: n * n, [(n,) for n in range(101)]) == [n * n for n in range(101)]


def test_two_threads_at_once() -> None:
    met = threading.Barrier(2)
    assert len(set(run_all(lambda: (met.wait(60), threading.get_ident())[1], [(), ()]))) == 2


def test_tasks_of_a_task_stay_in_its_thread() -> None:
    def outer(n: int) -> bool:
        return set(run_all(threading.get_ident, [()] * 4)) == {threading.get_ident()} and n >= 0

    assert all(run_all(outer, [(n,) for n in range(4)]))
    met = threading.Barrier(2)  # and the caller is not left as if it were a task
    run_all(met.wait, [(60,), (60,)])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_task_raises_reaches_the_caller(error: type[BaseException]) -> None:
    def fails(n: int) -> int:
        if n == 3:
            raise error("third")
        return n

    with pytest.raises(error, match="third"):
        run_all(fails, [(n,) for n in range(8)])
    assert run_all(fails, [(1,), (2,)]) == [1, 2]


def test_from_several_callers() -> None:
    found: list[list[int]] = []
    callers = [
        threading.Thread(target=lambda: found.append(run_all(abs, [(-n,) for n in range(50)]))) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert found == [list(range(50))] * 4


def test_in_a_forked_process() -> None:
    """Neither OpenMP's threads nor the pool's live on in it; to wait for them would never end."""
    code = (
        "import os, torch, warnings; warnings.simplefilter('ignore'); torch.set_num_threads(2)\n"
        "from fullconv.ops.cpu.threads import run_all\n"
        "expected = [1, 2, 3]; assert run_all(abs, [(-1,), (-2,), (-3,)]) == expected\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if run_all(abs, [(-1,), (-2,), (-3,)]) == expected else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
