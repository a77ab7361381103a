from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from fullconv.bars import one_clock
from fullconv.training.report import Reporter


def terminal(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, emoji=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


FIGURES = [
    (name, "0.1234") for name in ("train loss", "val loss", "mean IoU", "train IoU", "pixel acc", "fw IoU", "mean acc")
]


def test_the_bar_counts_validation_apart_from_steps() -> None:
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=20, per_epoch=10, done=0, device="cpu", batch_size=8)
    for done in range(1, 11):
        reporter.step(done, "epoch 1/2, loss 1.250", 3.0)
    reporter.validating(10, "epoch 1/2, loss 1.250", 4, 8)
    reporter.validated(60.0)
    reporter.step(11, "epoch 2/2", 3.0)
    reporter.stop()
    text = " ".join(shown(console).split())
    assert "epoch 2/2" in text
    assert "left 1:27" in text  # nine steps of 3 s and a validation of 60 s


def test_the_compiling_of_kernels_is_not_expected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = [7.0]
    monkeypatch.setattr("fullconv.training.report.compiling_seconds", lambda: compiled[0])
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=30, per_epoch=10, done=0)
    for done in range(1, 11):
        compiled[0] += 20 * (done == 1)
        reporter.step(done, "epoch 1/3", 1.0 + 20 * (done == 1))
    compiled[0] += 5
    reporter.validated(8.0)  # 5 of them compiling
    reporter.step(11, "epoch 2/3", 1.0)
    reporter.stop()
    assert "left 0:25" in " ".join(shown(console).split())  # 19 steps of 1 s and two validations of 3 s


def test_the_start_of_the_first_validation_is_not_expected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=20, per_epoch=4, done=0)
    for done in range(1, 5):
        reporter.step(done, "", 1.0)
    now[0] += 10  # processes start
    for images in range(1, 9):
        now[0] += 0.5
        reporter.validating(4, "", images, 8)
    now[0] += 1.0  # files and pictures
    reporter.validated(15.0)
    reporter.step(5, "epoch 2/5", 1.0)
    reporter.stop()
    assert "left 0:35" in " ".join(shown(console).split())  # 15 steps of 1 s and four validations of 5 s


def test_files_and_pictures_after_the_last_validation_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=2, per_epoch=1, done=0)
    for epoch in (1, 2):
        reporter.step(epoch, "", 1.0)
        now[0] += 30
        reporter.validating(epoch, "", 8, 8)
        reporter.ending(epoch, f"epoch {epoch}/2")
        now[0] += 20 if epoch == 1 else 15
        if epoch == 1:
            reporter.validated(50.0)
    reporter.stop()
    assert "epoch 2/2, saving" in shown(console)
    assert "left 0:05" in " ".join(shown(console).split())  # it goes on counting while nothing is told


@pytest.mark.parametrize("width", [80, 120])
def test_the_bar_keeps_every_figure(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run as long as they come: at 80 columns without the count, which the epoch says too."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = terminal(width)
    reporter = Reporter(console)
    reporter.start(steps=2760, per_epoch=46, done=1300, device="cpu", batch_size=8, words="epoch 60/60", images=101)
    assert reporter._bar is not None
    assert reporter._bar[0]._live is not None
    for done in range(1300, 1311):
        now[0] += 1.9
        reporter.step(done, "epoch 29/60, loss 0.523", 1.9)
    reporter._bar[0]._live.refresh()
    reporter.validating(1310, "epoch 29/60", 53, 101)
    reporter.stop()
    drawn = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(console)))
    figures = r"[\d.,]+ images/s, 00:21, left 45:5\d, [\d.]+ [MG]iB, cpu"
    step, validating = "epoch 29/60, loss 0.523", "epoch 29/60, " * (width == 120) + "validating 53/101"
    for words in (step, validating):
        last = [line for line in drawn if words in line][-1]
        assert re.fullmatch(rf"{words} +[━╸╺]{{4,}} +{'step 1310/2760, ' * (width == 120)}{figures}", last)


def test_the_first_steps_say_nothing_of_the_time_left() -> None:
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=700, per_epoch=10, done=0)
    reporter.step(1, "epoch 1/70", 45.0)
    reporter.step(2, "epoch 1/70", 30.0)
    reporter.stop()
    assert "2/700" in shown(console)
    assert "left --:--" in shown(console)
    assert "left 0" not in shown(console)


def test_of_a_run_of_limited_time_no_more_is_left_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 30.0)
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=20, per_epoch=10, done=0, ends=120.0)
    reporter.step(1, "epoch 1/2", 40.0)  # the first step, which compiles
    reporter.stop()
    assert "left 1:30" in " ".join(shown(console).split())


@pytest.mark.parametrize(
    ("ends", "left_after"),
    [
        (100.0, {6: 88, 19: 57, 24: 6 * 2 + 5}),  # time for another epoch, which will be found; but not in the last one
        (86.0, {6: 74, 19: 11 * 2 + 2 * 5, 24: 6 * 2 + 5}),  # it ends with a whole epoch, before the time is over
    ],
)
def test_a_run_of_limited_time_goes_on_until_no_epoch_fits(
    ends: float, left_after: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    reporter = Reporter(terminal())
    reporter.start(steps=30, per_epoch=10, done=0, ends=ends)
    left = list[float]()
    for done in range(1, 26):
        now[0] += 2.0
        reporter.step(done, "", 2.0)
        assert reporter._bar is not None
        left.append(reporter._left(reporter._bar[1].left(done), done))
        if done % 10 == 0:
            now[0] += 5.0
            reporter.validated(5.0)
    assert {done: left[done - 1] for done in left_after} == left_after
    reporter.stop()


def test_the_end_says_how_long_how_fast_in_how_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    now, compiled = [100.0], [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("fullconv.training.report.compiling_seconds", lambda: compiled[0])
    console = Console(file=io.StringIO(), width=80)
    reporter = Reporter(console)
    with one_clock():
        now[0] += 20  # loading, reading the data
        reporter.start(steps=200, per_epoch=100, done=50, device="cpu", batch_size=8)
        for done in range(51, 201):
            compiled[0] += 10 * (done == 51)
            reporter.step(done, "epoch 1/2", 2.0 + 10 * (done == 51))
        now[0] += 400
        reporter.stop()
        reporter.took()
    (line,) = shown(console).splitlines()
    assert re.fullmatch(r"train: 1,200 images at 4 images/s, 7:00 in all, peak memory [\d.]+ [MG]iB, cpu", line)


def test_a_log_file_has_lines_alone() -> None:
    console = Console(file=io.StringIO(), width=80)
    reporter = Reporter(console)
    reporter.start(steps=4, per_epoch=2, done=0)
    reporter.step(1, "epoch 1/2", 1.0)
    reporter.validating(2, "epoch 1/2", 1, 1)
    reporter.validated(1.0)
    reporter.epoch({"epoch": 1, "rate": 0.5, "seconds": 2.0}, [("tags", "0.50")], 2, True)
    reporter.epoch({"epoch": 2, "rate": 0.5, "seconds": 3725}, [("tags", "0.40")], 2, False)
    reporter.stop()
    lines = ["epoch 1/2  tags 0.50  rate 5.0e-01  2.0 s  *", "epoch 2/2  tags 0.40  rate 5.0e-01  1:02:05"]
    assert shown(console).splitlines() == lines


@pytest.mark.parametrize("figures", [FIGURES, [(name, "100.1234") for name, _ in FIGURES], FIGURES * 3])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_an_epoch_fits_on_a_line(width: int, figures: list[tuple[str, str]]) -> None:
    for console in (terminal(width), Console(file=io.StringIO(), width=width)):
        reporter = Reporter(console)
        for epoch in (9, 10, 11):
            row = {"epoch": epoch, "rate": 1e-3, "seconds": 59.9 + 3600 * (epoch > 9)}
            reporter.epoch(row, figures, 1000, epoch == 10)
        lines = shown(console).splitlines()
        assert max(map(len, lines)) <= (width if console.is_terminal else 80)
        assert all(figures[0][1] in line for line in lines[-3:])
        assert [line.endswith("*") for line in lines[-3:]] == [False, True, False]
        if console.is_terminal:
            head, *rows = lines
            assert len(rows) == 3
            assert head.split()[:3] == ["epoch", "train", "loss"]
            ends = head.index("train loss") + len("train loss")
            assert {row[:ends].split()[-1] for row in rows} == {figures[0][1]}


def test_the_most_important_figures_come_first() -> None:
    console = Console(file=io.StringIO(), width=200)
    Reporter(console).epoch({"epoch": 3, "rate": 1e-3, "seconds": 75.0}, FIGURES, 30, True)
    line = "epoch  3/30  train loss 0.1234  val loss 0.1234  mean IoU 0.1234  1:15  *"
    assert shown(console).strip() == line
    console = terminal(80)
    Reporter(console).epoch({"epoch": 3, "rate": 1e-3, "seconds": 75.0}, FIGURES, 30, True)
    head, row = shown(console).splitlines()
    assert head == "epoch  train loss  val loss  mean IoU  train IoU  pixel acc  fw IoU     time"
    assert row == " 3/30      0.1234    0.1234    0.1234     0.1234     0.1234  0.1234     1:15  *"


def test_what_explains_a_line_is_wrapped_in_a_log() -> None:
    console = Console(file=io.StringIO(), width=80)
    Reporter(console).say(
        "a is confused with b: " + "95% of its pixels, " * 9 + "\n  try: " + "look at both in the worst images, " * 5
    )
    first, *rest = shown(console).splitlines()
    assert len(first) > 150
    assert max(map(len, rest)) <= 100
    assert [line[:5] for line in rest] == ["  try", *["    " + line[4] for line in rest[1:]]]
    assert len(rest) == 2
