"""A run once more from its own config.yaml: the same to the last bit on the same machine's CPU."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import fullconv
from fullconv import Run
from fullconv.cli.main import run as command
from fullconv.errors import UsageError
from fullconv.training.repeat import differences
from tests.builders.runs import SMALL

DATA = "shapes:height=32,width=32,train=6,val=2"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With augmentation, dropout, a moving average and clipped gradients, in whatever arithmetic the machine has."""
    return fullconv.train(DATA, tmp_path_factory.mktemp("runs") / "first", **{**SMALL, "epochs": 2})


def test_weights_and_log_are_the_same(first: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "again"
    torch.manual_seed(7)  # whatever else the process has drawn
    assert command(["train", "--config", str(first.config), "--out", str(out)]) == 0
    assert "may differ from the run" not in capsys.readouterr().out
    again = Run(out)
    for name in ("best", "last"):
        ours, theirs = (getattr(run, name).read_bytes() for run in (first, again))
        assert ours == theirs  # the header too: nothing in a model says how long it took
    rows = []
    for run in (first, again):
        with (run.path / "log.csv").open() as file:
            rows.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    assert rows[0] == rows[1]
    assert first.scores == again.scores
    assert first.config.read_text() == again.config.read_text()


def test_another_seed_is_another_run(first: Run, tmp_path: Path) -> None:
    again = fullconv.train(config=first.path, out=tmp_path / "again", seed=1, epochs=1, quiet=True)
    ours, theirs = load_file(first.last), load_file(again.last)
    assert any(not torch.equal(ours[key], theirs[key]) for key in ours)


def test_what_keeps_it_from_being_the_same_is_said(first: Run, tmp_path: Path) -> None:
    assert differences(first, torch.device("cpu")) == []
    (line,) = differences(first, torch.device("cuda"))
    assert "not to the last bit: gradients are summed in an order that changes" in line
    other = Run(tmp_path)
    other.config.write_text(first.config.read_text().replace("minutes: null", "minutes: 2.5"))
    other.environment.write_text(first.environment.read_text())
    (line,) = differences(other, torch.device("cpu"))
    assert line.startswith("the run was given minutes: this one has the epochs that it came to")
    other.config.write_text(first.config.read_text())
    kept = json.loads(first.environment.read_text())
    kept["packages"]["torch"] = "2.0.0"
    other.environment.write_text(json.dumps(kept))
    (line,) = differences(other, torch.device("cpu"))
    assert "torch (was 2.0.0, is " in line
    other.environment.write_text("{")
    assert "is not known" in differences(other, torch.device("cpu"))[0]


def test_what_does_not_fit_is_refused(first: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file; --config takes the config\.yaml of a run"):
        fullconv.train(config=tmp_path / "config.yaml")
    with pytest.raises(UsageError, match="config and recipe are both files of all options"):
        fullconv.train(config=first.config, recipe=first.config)
    with pytest.raises(UsageError, match="config begins a run anew and resume goes on"):
        fullconv.train(config=first.config, resume=first.path)
    lonely = tmp_path / "config.yaml"
    lonely.write_text(first.config.read_text())
    with pytest.raises(UsageError, match="give it: fullconv train DATA --config"):
        fullconv.train(config=lonely)
    with pytest.raises(UsageError, match="exists, and a run never overwrites"):
        fullconv.train(config=first.config, out=first.path)
