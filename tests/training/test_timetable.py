"""A run that is limited by time: how many epochs it has, and that its rates go on where they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.training.config import TrainConfig
from fullconv.training.optimisation import rate_factor
from fullconv.training.timetable import Timetable

ONE_CYCLE = TrainConfig(epochs=20)


def test_without_a_budget_steps_are_their_own_places() -> None:
    table = Timetable(per_epoch=7, epochs=20)
    assert not table.replan(3, spent=1e9, last_epoch=1.0)
    assert [table.place(step) for step in range(table.steps)] == list(range(140))


@given(
    st.integers(1, 20), st.integers(2, 60), st.floats(10, 5000), st.lists(st.floats(0.5, 200), min_size=1, max_size=60)
)
def test_places_go_on_and_end_at_the_end(per_epoch: int, epochs: int, seconds: float, times: list[float]) -> None:
    table, spent, done = Timetable(per_epoch, epochs, seconds), 0.0, 0
    for time in times:
        if done == table.epochs:
            break
        done, spent = done + 1, spent + time
        here = table.place(done * per_epoch)
        changed = table.replan(done, spent, time)
        assert table.epochs >= done
        if changed and table.epochs > done:
            assert table.place(done * per_epoch) == pytest.approx(here)
            assert table.place(table.steps) == pytest.approx(table.planned)
            again = Timetable(per_epoch, table.epochs, seconds)  # resumed: the options have the new number
            again.restore(table.state())
            for step in (done * per_epoch, table.steps - 1):
                assert again.place(step) == table.place(step)
            assert (again.planned, again.steps) == (table.planned, table.steps)


@given(st.integers(10, 200), st.floats(0.3, 3), st.floats(0.3, 3))
def test_the_time_is_kept_within_a_tenth(epochs: int, first: float, later: float) -> None:
    """The machine is ``first`` times as slow as was thought, from a third of the time on ``later`` times."""
    table, spent, done = Timetable(10, epochs, float(epochs)), 0.0, 0
    while done < table.epochs:
        took = first if spent < epochs / 3 else later
        spent, done = spent + took, done + 1
        table.replan(done, spent, took)
    longest = max(first, later)
    assert 0.9 * epochs - longest <= spent <= 1.1 * epochs + longest


def test_a_single_slow_epoch_hardly_changes_the_plan() -> None:
    """One of three is twice as slow, because of other work: what counts is the mean of the last three."""
    table, spent, planned = Timetable(10, 40, seconds=40.0), 0.0, []
    for done in range(1, 25):
        took = 1.5 if done % 3 == 0 else 0.75
        spent += took
        table.replan(done, spent, took)
        planned.append(table.epochs)
    assert max(planned[3:]) - min(planned[3:]) <= 3


def test_rates_do_not_jump_where_the_number_changes() -> None:
    table = Timetable(10, 20, seconds=100)
    before = rate_factor(ONE_CYCLE, table.place(79), table.planned, 10)
    assert table.replan(8, spent=60, last_epoch=7.5)
    assert table.epochs == 13
    after = rate_factor(ONE_CYCLE, table.place(80), table.planned, 10)
    assert after == pytest.approx(before, rel=0.05)
    assert rate_factor(ONE_CYCLE, table.place(129), table.planned, 10) < 0.01


def test_a_new_number_is_news_where_it_changed_by_a_tenth() -> None:
    table, said, done = Timetable(10, 100, seconds=100.0), [], 0
    for spent in range(2, 400, 2):  # each takes two seconds, so there is time for 50
        done += 1
        if table.replan(done, float(spent), 2.0) and (line := table.news(done)):
            said.append(line)
        if done == table.epochs:
            break
    assert said == ["time for 50 epochs, since one takes 2 s"]
    assert (done, table.replan(done, 100.0, 2.0)) == (50, False)


def test_small_changes_add_up_to_news() -> None:
    table = Timetable(10, 100, seconds=100.0)
    said = []
    for done, took in ((5, 1.06), (6, 1.06), (7, 1.15), (8, 1.2)):
        table.replan(done, done * took, took)
        said.append(table.news(done))
    assert said[0] == ""
    assert [bool(line) for line in said].count(True) == 1
    table.replan(9, 1000.0, 2.0)
    assert table.news(9) == "the time is over"
