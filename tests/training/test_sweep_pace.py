from __future__ import annotations

import itertools
import random

import pytest

from fullconv.training.sweep_pace import SweepPace

Times = list[tuple[float, list[float], float]]
"""Of each run: until its first epoch has ended, each epoch after that, and from the last to its end."""


def told(runs: Times, planned: list[int], jobs: int = 1, look: float = 0.5) -> list[tuple[float, int, float | None]]:
    """Looked at as a sweep looks: when, how many runs had ended, what is said to be left; the last when all had."""
    free = [0.0] * jobs
    events = []
    for first, epochs, end in runs:
        lane = min(range(jobs), key=lambda i: free[i])
        began = free[lane]
        rows = [began + first + sum(epochs[:i]) for i in range(len(epochs) + 1)]
        free[lane] = rows[-1] + end
        events.append((began, rows, free[lane]))
    pace, now, found = SweepPace(planned, jobs), 0.0, []
    while now < max(free):
        rows = [[1.0] * sum(at <= now for at in ends) for _, ends, _ in events]
        ended = [end <= now for _, _, end in events]
        running = [began <= now < end for began, _, end in events]
        found.append((now, sum(ended), pace.left(now, rows, running, ended)))
        now += look
    return [*found, (max(free), len(runs), 0.0)]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("first", "epoch", "epochs", "end"),
    [(14.0, 2.0, 4, 3.0), (20.0, 0.0, 1, 2.0), (30.0, 25.0, 6, 4.0)],  # mostly starting; of one epoch; mostly training
)
def test_the_time_left_is_right_from_the_second_run_on(
    first: float, epoch: float, epochs: int, end: float, jobs: int
) -> None:
    """Against what then comes, within 15 %."""
    draw = random.Random(1)
    runs = [
        (first * draw.uniform(0.95, 1.05), [epoch * draw.uniform(0.9, 1.1) for _ in range(epochs - 1)], end)
        for _ in range(6)
    ]
    said = told(runs, [epochs] * 6, jobs)
    whole = said[-1][0]
    assert said[0][2] is None  # nothing is known yet
    for now, ended, left in said:
        if ended >= 2:
            assert left == pytest.approx(whole - now, rel=0.15, abs=3.0), (now, ended)


def test_it_falls_while_a_run_goes_on() -> None:
    """It rose with the time spent, until the next epoch ended."""
    said = told([(10.0, [5.0, 5.0], 2.0)] * 4, [3] * 4)
    left = [seconds for _, ended, seconds in said if ended]
    assert all(a is not None and b is not None and b <= a + 0.51 for a, b in itertools.pairwise(left))
    assert left[0] == pytest.approx(66, abs=1.5)


def test_slower_runs_count_by_their_own_epochs() -> None:
    said = told([(10.0, [5.0] * 9, 0.0), (10.0, [20.0] * 9, 0.0)], [10, 10])
    at = {now: left for now, _, left in said}
    assert at[100.0] == pytest.approx(145 - 10, abs=45)  # of the second nothing is known but the first
    assert at[125.0] == pytest.approx(245 - 125 - 0.5, abs=1.5)  # 3 of its epochs have ended


def test_runs_that_stop_early_shorten_those_to_come() -> None:
    said = told([(10.0, [5.0] * 4, 0.0)] * 3, [10] * 3)  # 5 of 10 epochs
    left = next(left for now, _, left in said if now == 60.5)
    assert left == pytest.approx(29.5, abs=1.5)


def test_what_an_earlier_sweep_has_trained_is_not_counted() -> None:
    pace = SweepPace([4, 4, 4], 1)
    rows, nothing = [[3.0] * 4, [3.0] * 2, list[float]()], [False] * 3
    assert pace.left(0, rows, [True, False, False], nothing) is None
    pace.left(6, rows, [False, True, False], [True, False, False])  # it had nothing left to do
    rows[1] = [3.0] * 3
    assert pace.left(16, rows, [False, True, False], [True, False, False]) == pytest.approx(3 + 10 + 3 * 3)
