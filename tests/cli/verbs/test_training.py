"""``train``: its flags are the options of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import fullconv
from fullconv.cli.main import run


def test_every_training_option_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    from fullconv.training.config import TrainConfig

    assert run(["train", "--help"]) == 0
    text = capsys.readouterr().out
    missing = [name for name in TrainConfig.model_fields if f"--{name.replace('_', '-')}" not in text]
    assert missing == []


def test_flags_become_values() -> None:
    from fullconv.cli.command import app

    words = ["--model-args.head-channels", "8", "--encoder-args.pad-type", "same", "--class-weights", "1,2,0.5"]
    _, bound, _ = app.parse_args(["train", "shapes", *words, "--crop", "32", "64", "--no-flip"])
    assert bound.arguments["options"].model_dump(exclude_unset=True) == {
        "model_args": {"head_channels": 8}, "encoder_args": {"pad_type": "same"}, "class_weights": [1.0, 2.0, 0.5],
        "crop": (32, 64), "flip": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--loss", "focl"], "loss: expected 'cross-entropy', 'focal'"),
        (["--epochs", "0"], "epochs: expected greater"),
        (["--scale", "2", "1"], "low then high"),
    ],
)
def test_a_bad_option_is_one_plain_line(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "shapes", *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert "validation error" not in error


@pytest.mark.parametrize("name", ["camvid_fcn8s_lite0", "fcn8s_vgg16_voc_sbd"])
def test_a_recipe_is_printed_as_it_is_in_the_file(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["recipes", name]) == 0
    assert capsys.readouterr().out == fullconv.recipes(name)[name]


def test_recipes_fit_a_terminal_of_80_columns() -> None:
    """They are printed as they are."""
    long = [line for text in fullconv.recipes().values() for line in text.splitlines() if len(line) > 80]
    assert not long


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["choosing.budget.cost", "start.make_plan", "run_folder.surroundings", "start.fit"])
def test_ctrl_c_before_the_first_step_leaves_nothing_and_says_how_to_start_again(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"fullconv.training.{where}", interrupted)
    assert run(["train", "shapes:train=8,val=2", "--minutes", "1"]) == 130
    *_, last = capsys.readouterr().err.splitlines()
    left = "nothing is trained or kept yet; start again with: fullconv train shapes:train=8,val=2 --minutes 1"
    assert last == f"fullconv: interrupted; {left}"
    assert not list(tmp_path.glob("runs/*"))


def test_ctrl_c_before_a_run_goes_on_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/config.yaml").write_text("epochs: 2\n")
    monkeypatch.setattr("fullconv.training.start.train", interrupted)
    assert run(["train", "--resume", "runs/mine"]) == 130
    left = "the run is as it was; go on with: fullconv train --resume runs/mine"
    assert capsys.readouterr().err == f"fullconv: interrupted; {left}\n"


@pytest.mark.parametrize("where", ["open_or_count", "_train"])
def test_ctrl_c_in_a_sweep_says_how_to_go_on(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"fullconv.training.sweep.{where}", interrupted)
    command = ["sweep", "shapes:train=8,val=2", "--over", "rate=1e-3,2e-3", "--epochs", "1", "--out", "runs"]
    assert run(command) == 130
    *_, last = capsys.readouterr().err.splitlines()
    assert last.endswith(f"go on with: fullconv {' '.join(command)}")
