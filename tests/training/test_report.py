from __future__ import annotations

import io

from rich.console import Console

from fullconv.training.report import Reporter


def terminal(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, emoji=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_bar_counts_validation_apart_from_steps() -> None:
    console = terminal()
    reporter = Reporter(console)
    reporter.start(steps=20, per_epoch=10, done=0)
    for done in range(1, 11):
        reporter.step(done, "epoch 1/2  loss 1.250", 3.0)
    reporter.validating(10, "epoch 1/2  loss 1.250", 4, 8)
    reporter.validated(60.0)
    reporter.step(11, "epoch 2/2", 3.0)
    reporter.stop()
    text = shown(console)
    assert "epoch 2/2" in text
    assert "steps, left 0:01:27" in text  # nine steps of 3 s and a validation of 60 s


def test_a_log_file_has_lines_alone() -> None:
    console = Console(file=io.StringIO(), width=80)
    reporter = Reporter(console)
    reporter.start(steps=4, per_epoch=2, done=0)
    reporter.step(1, "epoch 1/2", 1.0)
    reporter.validating(2, "epoch 1/2", 1, 1)
    reporter.validated(1.0)
    reporter.epoch({"epoch": 1, "rate": 0.5, "seconds": 2.0}, "tags 0.50", 2, True)
    reporter.stop()
    assert shown(console) == "epoch   1/2  tags 0.50  rate 5.00e-01  2.0 s  *\n"
