"""A run that was interrupted goes on, and ends as one that was not."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

import fullconv
from fullconv.data import Shapes
from fullconv.device import choose_precision
from fullconv.errors import Interrupted, UsageError
from fullconv.formats.open import shapes_dataset
from fullconv.training import fit as fit_module
from fullconv.training.state import Checkpoint
from tests.builders.runs import DATA, SMALL
from tests.builders.weights import weights


@pytest.mark.parametrize("stop_at", [2, 4, 8])
def test_interrupted_and_resumed_ends_with_the_same_weights(
    stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mid-epoch, at the end of an epoch (4 steps each), at the end of a later one; workers may change."""
    whole = fullconv.train(DATA, tmp_path / "whole", **SMALL)

    class StopAt(fit_module.InterruptRequest):
        calls = 0

        @property
        def asked(self) -> bool:
            StopAt.calls += 1
            return StopAt.calls >= stop_at

        @asked.setter
        def asked(self, value: bool) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "InterruptRequest", StopAt)
        with pytest.raises(Interrupted, match="interrupted at step"):
            fullconv.train(DATA, tmp_path / "cut", **SMALL)
    run = fullconv.train(DATA, tmp_path / "cut", resume=True, workers=1, quiet=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(run)[name]), name
    without_time = [(p / "log.csv").read_text().splitlines() for p in (whole.path, run.path)]
    assert [line.rsplit(",", 1)[0] for line in without_time[0]] == [line.rsplit(",", 1)[0] for line in without_time[1]]


def test_ctrl_c_saves_and_exits_130(tmp_path: Path) -> None:
    data = "shapes:height=64,width=64,train=12,val=2"
    command = [sys.executable, "-m", "fullconv", "train", data, "--out", str(tmp_path / "run")]
    command += ["--encoder", "resnet10t", "--model", "fcn16s", "--epochs", "100000", "--no-check", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not (tmp_path / "run" / "log.csv").is_file() and process.poll() is None:  # however busy the machine is
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].endswith("--resume")
    assert (tmp_path / "run" / "resume" / "state.pt").is_file()


def test_the_latest_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {**SMALL, "epochs": 2}
    run = fullconv.train(DATA, **options)
    (run.path / "log.csv").unlink()
    state = Checkpoint.read(run)
    assert state is not None
    state.progress.step -= 1  # as if stopped before the last step
    state.progress.history.pop()
    state.write(run)
    again = fullconv.train(DATA, resume=True, quiet=True)
    assert again.path.resolve() == run.path.resolve()
    assert Path("runs/latest").resolve() == run.path.resolve()
    assert len((run.path / "log.csv").read_text().splitlines()) == 3


def test_a_run_goes_on_in_the_arithmetic_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 1, "precision": "auto"})
    state = Checkpoint.read(run)
    assert state is not None
    assert state.precision == choose_precision("auto", torch.device("cpu"))
    dataclasses.replace(state, precision="fp32").write(run)
    seen: list[Any] = []
    monkeypatch.setattr(
        "fullconv.training.devices.Fabric", lambda **given: seen.append(given["precision"]) or Fabric(**given)
    )
    fullconv.train(DATA, run.path, resume=True, quiet=True)
    assert seen == ["32-true"]


def test_a_run_resumes_on_its_own_data_only(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 1})
    other = shapes_dataset(Shapes(height=64, width=64, train=12, val=3))
    with pytest.raises(UsageError, match="not the data of this run"):
        fullconv.train(other, run.path, resume=True, quiet=True)
    run.state.write_bytes(run.state.read_bytes()[:999])
    with pytest.raises(UsageError, match=r"state\.pt: damaged"):
        fullconv.train(DATA, run.path, resume=True, quiet=True)
