from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

import fullconv.training.sweep as module
from fullconv.cli.main import run
from fullconv.errors import FullconvError, Interrupted, UsageError
from fullconv.training.config import TrainConfig
from fullconv.training.over import parse_over, with_value
from tests.builders.folders import Make

SMALL = ["--encoder", "resnet10t", "--epochs", "1", "--batch-size", "4", "--workers", "0", "--crop", "32", "32"]


def test_runs_a_table_and_a_picture(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make_folder: Make,
) -> None:
    out = tmp_path / "study"
    command = ["sweep", str(make_folder(10)), "--over", "rate=1e-3,1e-2", "--out", str(out), *SMALL]
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "0.001" in shown
    assert str(out / "sweep.png") in shown.replace("\n", "")
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["0.001", "0.01"]
    assert TrainConfig.load(out / "rate-0.01" / "config.yaml", {}).rate == 0.01
    assert TrainConfig.load(out / "rate-0.001" / "config.yaml", {}).seed == 0
    with Image.open(out / "sweep.png") as picture:
        assert picture.width == 6 * 248 + 8  # image, truth, two runs and their errors
    before = (out / "rate-0.01" / "best.safetensors").stat().st_mtime_ns
    assert run(command) == 0  # nothing is left to do
    assert (out / "rate-0.01" / "best.safetensors").stat().st_mtime_ns == before


def test_an_option_without_effect_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_folder: Make
) -> None:
    command = ["sweep", str(make_folder(6)), "--over", "poly-power=0.5,0.9", "--out", str(tmp_path / "study"), *SMALL]
    assert run(command) == 0  # the schedule is another
    assert "every value of poly_power gave the same figures" in capsys.readouterr().out
    rows = [{"value": "1", "last_val_loss": 0.5, "seconds": 3.0}, {"value": "2", "last_val_loss": 0.4, "seconds": 3.0}]
    assert not module.Swept("rate", rows, tmp_path, tmp_path).no_effect


def test_options_and_values() -> None:
    assert parse_over("encoder-args.dropout=0.5,0.25") == ("encoder_args.dropout", [0.5, 0.25])
    assert parse_over("crop=[64,64],[32,64]") == ("crop", [[64, 64], [32, 64]])
    assert parse_over("rate=1e-3,1.5") == ("rate", [0.001, 1.5])
    assert parse_over("loss=focal,ohem") == ("loss", ["focal", "ohem"])
    for wrong in ("rate", "rate=", "rate=1e-3,1e-3", "rate=[1"):
        with pytest.raises(UsageError, match="--over"):
            parse_over(wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--over", "speed=1,2"], "no option 'speed'"),
        (["--over", "rate.x=1,2"], "no option 'rate.x'"),
        (["--over", "rate=-1,1"], "rate"),
        (["--over", "encoder=resnet10t,resnet10x"], "no encoder is called 'resnet10x'"),
        (["--over", "rate=1,2", "--jobs", "0"], "at least 1"),
    ],
)
def test_bad_usage_trains_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make_folder: Make,
) -> None:
    assert run(["sweep", str(make_folder()), "--out", str(tmp_path / "s"), *arguments, *SMALL]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_run_that_fails_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], make_folder: Make) -> None:
    command = ["sweep", str(make_folder()), "--over", "model-args.head-channels=8,many", "--out", str(tmp_path / "s")]
    assert run([*command, *SMALL]) == 1
    error = capsys.readouterr().err
    assert "head_channels-many: the run failed (model fcn8s: model_args" in error


def test_dropout_reaches_into_the_encoder() -> None:
    config = with_value({"encoder_args": {"padding": "same"}}, "encoder_args.dropout", 0.9)
    assert config == {"encoder_args": {"padding": "same", "dropout": 0.9}}


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), FullconvError("no")])
def test_what_stops_one_run_stops_the_sweep(
    problem: BaseException, tmp_path: Path, make_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fail(data: object, run: object, config: dict, jobs: int) -> None:
        begun.append(config["seed"])
        raise problem

    monkeypatch.setattr(module, "_train", fail)
    kind = Interrupted if isinstance(problem, KeyboardInterrupt) else FullconvError
    with pytest.raises(kind):
        module.sweep(make_folder(), "seed=1,2,3,4", tmp_path / "s")
    assert len(begun) <= 2


def test_a_study_goes_on_with_the_same_options_only(tmp_path: Path, make_folder: Make) -> None:
    data = str(make_folder())
    command = ["sweep", data, "--over", "seed=1", "--out", str(tmp_path / "s"), *SMALL]
    assert run([*command, "--rate", "1e-4"]) == 0
    assert run(command) == 1  # without --rate the default is meant, and the finished run had another


def test_how_far_the_runs_are_by_their_logs(tmp_path: Path) -> None:
    runs = [module.Run(tmp_path / name) for name in "abc"]
    for run_, rows in zip(runs[:2], (4, 2), strict=True):
        run_.path.mkdir()
        run_.config.touch()
        (run_.path / "log.csv").write_text("epoch,seconds\n" + "1,2\n" * rows)
    configs = [{"epochs": 6}] * 3

    def reached(ended: int, running: int) -> tuple[int, int, str]:
        places = range(3)
        rows = [module._seconds(run_) for run_ in runs]
        return module._reached(runs, configs, rows, [i < ended for i in places], [i == running for i in places])

    assert reached(1, 1) == (8, 18, "b, epoch 3/6")  # a has stopped early
    assert reached(2, 2) == (12, 18, "c, starting")  # reads data and weights, compiles
    assert reached(2, -1) == (12, 18, "")  # between two of them
    (runs[1].path / "log.csv").write_text("epoch,seconds\n" + "1,2\n" * 6)
    assert reached(1, 1) == (12, 18, "b, ending")


def test_a_sweep_over_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sweep compares runs of equal epochs"):
        module.sweep("shapes:train=2,val=1", "rate=0.1,0.2", tmp_path / "out", minutes=1)
    assert not (tmp_path / "out").exists()
