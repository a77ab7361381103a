from __future__ import annotations

import math
import random

import pytest

from fullconv.training.drawing import SHARE
from fullconv.training.pace import Pace


@pytest.mark.parametrize(
    ("per_epoch", "epochs", "step", "validation"), [(46, 10, 0.5, 9.0), (3, 5, 20.0, 4.0), (1, 9, 2, 7)]
)
def test_the_time_left_is_right_from_the_second_epoch_on(
    per_epoch: int, epochs: int, step: float, validation: float
) -> None:
    """Against what then comes, within 15 %; slow first steps and long validations spoil nothing."""
    draw = random.Random(0)
    events = []  # (steps done, share of the validation done, seconds that it took)
    for done in range(1, per_epoch * epochs + 1):
        events.append((done, 0.0, step * draw.uniform(0.9, 1.1) + (60 if done <= 2 else 0)))
        if done % per_epoch == 0:
            events += [(done, share, validation / 2) for share in (0.5, 1.0)]
    pace = Pace(per_epoch * epochs, per_epoch)
    assert pace.left(0) is None
    for i, (done, share, seconds) in enumerate(events):
        if share:
            pace.validated(validation) if share == 1 else None
        else:
            pace.step(seconds)
        true = sum(event[2] for event in events[i + 1 :])
        if done > max(per_epoch, 3):
            assert pace.left(done, share) == pytest.approx(true, rel=0.15, abs=1e-9), (done, share)
    assert pace.left(per_epoch * epochs, 1.0) == 0


@pytest.mark.parametrize(("epochs", "step", "drawing"), [(5, 0.5, 2.0), (12, 0.5, 4.0), (7, 6.0, 2.0), (30, 0.05, 1.0)])
def test_pictures_count_where_they_will_be_drawn(epochs: int, step: float, drawing: float) -> None:
    """Beside the rule of drawing itself, which draws after the first epoch, then in a tenth of the time, and last."""
    per_epoch, validation, now, drawn = 10, 1.0, 0.0, -math.inf
    pace, told = Pace(per_epoch * epochs, per_epoch), []
    for done in range(1, per_epoch * epochs + 1):
        now += step
        pace.step(step)
        told.append((now, pace.left(done)))
        if done % per_epoch == 0:
            now += validation
            if now - drawn >= drawing / SHARE or done == per_epoch * epochs:
                now += drawing
                drawn = now
                pace.drew(drawing)
            pace.validated(validation)
            told.append((now, pace.left(done, 1.0)))
    for at, left in told[per_epoch + 1 :]:
        assert left == pytest.approx(now - at, abs=1e-6)


def test_before_the_first_validation_it_is_that_of_the_steps() -> None:
    pace = Pace(20, 10)
    for done, seconds in enumerate((90.0, 30.0, 2.0, 2.0), 1):
        pace.step(seconds)
        assert (pace.left(done) is None) == (done <= 2)  # the first ones say nothing of those to come
    assert pace.left(4) == 16 * 2.0


@pytest.mark.parametrize("faster", [1.0, 3.0])  # the same machine, and another
def test_a_run_that_goes_on_knows_how_long_validations_are(faster: float) -> None:
    first = Pace(40, 10)
    assert first.share == 0
    for done in range(1, 13):
        first.step(2.0)
        if done == 10:
            first.validated(8.0)
    assert first.share == pytest.approx(0.4)
    second = Pace(40, 10, first.share)
    for _ in range(13, 16):
        second.step(2.0 / faster)
    assert second.left(15) == pytest.approx((25 * 2.0 + 3 * 8.0) / faster)
    second.validated(9.0 / faster)  # its own count from here on
    assert second.left(20, 1.0) == pytest.approx((20 * 2.0 + 2 * 9.0) / faster)
