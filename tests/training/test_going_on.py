"""A run that was interrupted goes on, and ends as one that was not."""

from __future__ import annotations

import dataclasses
import shlex
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
from fullconv.cli.main import run as run_command
from fullconv.data import Shapes
from fullconv.device import choose_precision
from fullconv.errors import Interrupted, UsageError
from fullconv.formats.open import shapes_dataset
from fullconv.spec import ClassSet
from fullconv.training import fit as fit_module
from fullconv.training.resume import kept_name
from fullconv.training.state import Checkpoint
from tests.builders.commands import TINY, complaint
from tests.builders.folders import Make
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
    assert errors.strip().splitlines()[-1].endswith(f"; go on with: fullconv train --resume {tmp_path / 'run'}")
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


@pytest.mark.parametrize("mixed", [False, True])
def test_a_run_knows_its_data(
    mixed: bool, make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From another folder too; and asks where they are when they are gone."""
    data = make_folder(4)
    (data / "classes.txt").write_text("\n".join(Shapes().classes.names))
    monkeypatch.chdir(tmp_path)
    given = "photos+shapes:train=2,val=1,height=48,width=64" if mixed else "photos"
    assert run_command(["train", given, "--out", "mine", *TINY]) == 0
    model = (tmp_path / "mine" / "last.safetensors").read_bytes()
    said = capsys.readouterr().out
    assert "next:\n  fullconv evaluate mine photos" in said
    predict = next(line for line in said.splitlines() if line.startswith("  fullconv predict "))
    assert run_command(shlex.split(predict)[1:]) == 0  # as it stands
    assert list((tmp_path / "predicted").glob("*.overlay.*"))
    capsys.readouterr()
    for line in said.splitlines():
        if line.startswith(("pictures: ", "curves: ")):
            assert Path(line.partition(": ")[2]).is_file()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert run_command(["train", "--resume", "../mine"]) == 0
    assert "../mine has ended, after 1 epoch; best: epoch 1, val mean IoU 0." in capsys.readouterr().out
    assert (tmp_path / "mine" / "last.safetensors").read_bytes() == model
    assert run_command(["train", "--resume", "../mine", "--out", "../other"]) == 2
    assert "leave --out ../other out" in complaint(capsys)
    data.rename(tmp_path / "moved")
    assert run_command(["train", "--resume", "../mine"]) == 2
    assert f"its data was in {data}, which is not there any more; give it: " in complaint(capsys)
    assert run_command(["train", given.replace("photos", "../moved"), "--resume", "../mine"]) == 0


def test_the_path_of_data_is_kept_without_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("run", "data/town", "far/away"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run")
    town = str(tmp_path / "data" / "town")
    assert kept_name("../data/town") == town
    assert kept_name("../data/./town+shapes") == f"{town}+shapes"
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    assert kept_name("../link") == str(tmp_path / "link")  # links stay links
    (tmp_path / "far" / "more").mkdir()
    assert Path(kept_name("../link/../more")).samefile(tmp_path / "far" / "more")


@pytest.mark.parametrize("stopped", [False, True])
def test_of_a_run_that_has_ended_it_is_said_at_once(
    stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At its last epoch, or where epochs were no better; with what to type to learn longer."""
    data, options = "shapes:height=32,width=32,train=4,val=1", {"epochs": 1, "early_stopping": 1}
    run = fullconv.train(data, tmp_path / "run", **{**SMALL, **options})
    if stopped:
        state = Checkpoint.read(run)
        assert state is not None
        state.progress.timetable = (5, *state.progress.timetable[1:])
        state.progress.history.append({**state.progress.history[0], "epoch": 2})
        state.write(run)
    monkeypatch.setattr("fullconv.training.start.open_data", None)
    for given in ([], [data]):
        assert run_command(["train", *given, "--resume", str(run.path)]) == 0
        said = capsys.readouterr().out
        assert (
            f"{run.path} has ended, after {'2 epochs' if stopped else '1 epoch'}; best: epoch 1, val mean IoU" in said
        )
        assert f"fullconv train {data} --init-from {run.path} --epochs " in said
    assert fullconv.train(resume=run.path, quiet=True).path == run.path
    assert not capsys.readouterr().out


def test_data_made_in_python_is_asked_for(tmp_path: Path) -> None:
    data = fullconv.open_dataset(DATA)
    run = fullconv.train(data, tmp_path / "run", **{**SMALL, "epochs": 1})
    with pytest.raises(UsageError, match="does not say by which name its data can be opened; give it: fullconv train"):
        fullconv.train(resume=run.path)
    fullconv.train(data, resume=run.path, quiet=True)
    with pytest.raises(UsageError, match="no data given"):
        fullconv.train()


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
    with pytest.raises(
        UsageError,
        match=rf"^shapes: not the data of the run {run.path}, which are shapes \(other names.*; give its own: ",
    ):
        fullconv.train(other, run.path, resume=True, quiet=True)
    classes = ClassSet(("a", *other.classes.names[1:]))
    with pytest.raises(UsageError, match=rf"\(classes a, .*, not {other.classes.names[0]}, .*{run.path}'"):
        fullconv.train(dataclasses.replace(other, classes=classes), run.path, resume=True, quiet=True)
    run.environment.write_text('{"given": "/my/photos"}')
    with pytest.raises(UsageError, match=r"which are /my/photos .*; leave the data out: .* train --resume"):
        fullconv.train(other, run.path, resume=True, quiet=True)
    run.state.write_bytes(run.state.read_bytes()[:999])
    with pytest.raises(UsageError, match=r"state\.pt: damaged"):
        fullconv.train(DATA, run.path, resume=True, quiet=True)


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StopAtOnce(fit_module.InterruptRequest):
        asked = property(lambda self: True, lambda self, value: None)

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "InterruptRequest", StopAtOnce)
        with pytest.raises(Interrupted):
            fullconv.train(DATA, tmp_path / "run", **SMALL)
    run = fullconv.Run(tmp_path / "run")
    before = run.state.read_bytes()
    lines = ["import sys", "from fullconv.training.run_folder import RunFolder", "with RunFolder(sys.argv[1]).taken():"]
    hold = "\n".join([*lines, "    print(1, flush=True)", "    input()"])
    holder = subprocess.Popen([sys.executable, "-c", hold, str(run.path)], stdin=-1, stdout=-1, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        with pytest.raises(UsageError, match="another process trains here"):
            fullconv.train(DATA, resume=run.path)
        assert run.state.read_bytes() == before
    finally:
        holder.kill()  # as the system kills it: the folder is free at once
        holder.communicate()
    assert fullconv.train(DATA, resume=run.path).scores
    assert not (run.path / "resume" / "lock").exists()
