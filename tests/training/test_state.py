"""The saved state: one file that is read whole or refused in a line, and a run that may be killed at any moment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import fullconv
from fullconv import files
from fullconv.cli.main import run as command_line
from fullconv.errors import UsageError
from fullconv.training.config import TrainConfig
from fullconv.training.run import Run
from fullconv.training.state import Checkpoint, Progress
from tests.builders.runs import FEW_STEPS, FOUR_SCENES


def checkpoint() -> Checkpoint:
    weight = {"weight": torch.arange(3.0)}
    row = {"epoch": 1, "mean_iou": float("nan"), "rate": 0.1}
    return Checkpoint(
        network=weight, optimizer={"state": {0: weight}, "param_groups": [{"lr": 0.1}]}, average=weight, scaler=None,
        objective={"counts": torch.ones(2, 2, dtype=torch.int64)}, progress=Progress(5, [row], 0.25, 2, 1.5),
        header={"classes": ["a", "b"]}, data="0f", precision="bf16",
    )  # fmt: skip


def saved(tmp_path: Path, finished: bool = True) -> Run:
    """A run folder with options and a state; of a run that has finished an epoch, with a model too."""
    run = Run(tmp_path / "run")
    run.path.mkdir()
    TrainConfig().save(run.config)
    if finished:
        run.last.touch()
    checkpoint().write(run)
    return run


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = saved(tmp_path)
    first, second = checkpoint(), Checkpoint.read(run)
    assert second is not None
    assert torch.equal(first.network["weight"], second.network["weight"])
    assert torch.equal(first.objective["counts"], second.objective["counts"])
    assert second.objective["counts"].dtype == torch.int64
    assert repr(first.progress) == repr(second.progress)  # as text nan is nan
    assert (first.optimizer["param_groups"], first.header) == (second.optimizer["param_groups"], second.header)
    assert (second.scaler, second.data, second.precision) == (None, "0f", "bf16")
    run.state.unlink()
    assert Checkpoint.read(run) is None


NAN = float("nan")


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(0.1, 1.5), (0.1, 0.9), (0.1, 0.7)], 2),  # a network that so far knows the background alone
        ([(0.1, 1.5), (0.1, 0.7), (0.1, 0.9), (0.1, 0.7)], 1),
        ([(0.1, 0.1), (0.2, 0.9), (0.1, 0.1)], 1),
        ([(0.1, NAN), (0.1, 0.7)], 0),
        ([(NAN, 1.5), (NAN, NAN), (NAN, 0.7), (0.0, 3.0)], 3),
        ([(0.1, None), (0.1, None)], 0),
    ],
)
def test_of_equal_scores_the_lower_val_loss_is_better(rows: list[tuple[float, float | None]], best: int) -> None:
    progress, marked = Progress(), []
    for epoch, (score, loss) in enumerate(rows):
        progress.end_epoch({"score": score} | ({} if loss is None else {"val_loss": loss}))
        if progress.is_best("score"):
            marked.append(epoch)
    assert marked[-1] == best
    assert progress.epochs_since_best("score") == len(rows) - 1 - best


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 1}, "expected the state of a run of version 2, found version 1"),
        ({"version": None}, "expected the state of a run of version 2, found no version"),
        ({"objective": ...}, "objective missing"),
        ({"header": ..., "data": ...}, "header, data missing"),
        ({"teacher": {}}, "teacher unknown to this fullconv"),
        ({"network": [1]}, "network of a wrong type"),
        ({"progress": {"step": 3}}, r"progress\.history, progress\.loss_sum, progress\.loss_steps and 3 more missing"),
        ({"progress": {**vars(Progress()), "pace": 1.0}}, r"progress\.pace unknown"),
    ],
)
def test_another_state_is_refused_in_a_line(
    change: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for finished in (True, False):
        run = saved(tmp_path / str(finished), finished) if (tmp_path / str(finished)).mkdir() is None else None
        assert run is not None
        content = torch.load(run.state, weights_only=True) | change
        torch.save({name: value for name, value in content.items() if value is not ...}, run.state)
        with pytest.raises(UsageError, match=words) as caught:
            Checkpoint.read(run)
        advice = f"start a new run with --init-from {run.path}" if finished else f"remove {run.path} and start again"
        assert str(caught.value).startswith(f"{run.state}: ")
        assert str(caught.value).endswith(advice)
        assert command_line(["train", "shapes:train=2,val=1", "--out", str(run.path), "--resume"]) == 2
        errors = capsys.readouterr().err.strip().splitlines()
        assert len(errors) == 1
        assert errors[0].endswith(advice)


def test_code_in_a_state_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    run = saved(tmp_path)
    torch.save({"version": 2, "network": Trap()}, run.state)
    with pytest.raises(UsageError, match="damaged"):
        Checkpoint.read(run)
    assert not (tmp_path / "sprung").exists()


def test_a_run_killed_at_any_write_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder as it lies before each file takes its place; every fourth is gone on with."""
    target, moments = tmp_path / "run", []
    replace = files.os.replace

    def keep(source: Any, place: Any) -> None:
        if Path(place).is_relative_to(target):
            moments.append(tmp_path / f"moment_{len(moments)}")
            shutil.copytree(target, moments[-1])
        replace(source, place)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", keep)
        whole = fullconv.train(FOUR_SCENES, target, **FEW_STEPS)
    assert len(moments) > 12
    with pytest.raises(UsageError, match=r"no run to resume \(config.yaml is empty"):
        fullconv.train(FOUR_SCENES, moments[0], resume=True, quiet=True)
    log = [line.rpartition(",")[0] for line in (whole.path / "log.csv").read_text().splitlines()]
    for moment in moments[1::4]:
        run = fullconv.train(FOUR_SCENES, moment, resume=True, quiet=True)
        for file in ("last.safetensors", "best.safetensors"):
            ours, theirs = load_file(run.path / file), load_file(whole.path / file)
            assert all(torch.equal(value, ours[name]) for name, value in theirs.items()), (moment, file)
        assert [line.rpartition(",")[0] for line in (run.path / "log.csv").read_text().splitlines()] == log, moment
        assert run.scores == whole.scores
