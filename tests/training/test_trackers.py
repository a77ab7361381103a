"""What programs that compare runs are told: by a recording fake, and by the programs themselves where installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fullconv
from fullconv.errors import Interrupted, UsageError
from fullconv.evaluation.log_findings import read_log
from fullconv.training import fit, trackers
from fullconv.training.config import TrainConfig
from fullconv.training.trackers import Tracking
from tests.builders.runs import FEW_STEPS, FOUR_SCENES, Asked

OPTIONS = {"epochs": 2, "rate": 0.001, "crop": None, "scale": [1, 1]}
ROWS = [
    {"epoch": 1, "train_loss": 1.5, "mean_iou": 0.25, "iou/a (b)": float("nan")},
    {"epoch": 2, "train_loss": 0.5, "mean_iou": 0.5, "iou/a (b)": 0.125},
]


class Fake:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.options: Mapping[str, Any] = {}
        self.epochs: list[tuple[int, dict[str, float]]] = []
        self.ended = 0

    def begin(self, folder: Path, options: Mapping[str, Any], known: str) -> str:
        self.begun.append((folder.name, known))
        self.options = options
        return known or "id-7"

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self.epochs.append((number, dict(figures)))

    def end(self) -> None:
        self.ended += 1


class Failing(Fake):
    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        raise ConnectionError("no route")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    one = Fake()
    monkeypatch.setitem(trackers.TRACKERS, "wandb", lambda: one)
    monkeypatch.setattr(trackers, "library", lambda name, what: None)
    return one


def test_a_run_and_its_continuation_are_one(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fit, "InterruptRequest", lambda: Asked(4))  # within the second epoch
        with pytest.raises(Interrupted):
            fullconv.train(FOUR_SCENES, tmp_path / "run", track="wandb", **FEW_STEPS)
    run = fullconv.train(FOUR_SCENES, resume=tmp_path / "run", quiet=True)
    rows = read_log(run.path / "log.csv")
    assert fake.begun == [("run", ""), ("run", "id-7")]
    assert [number for number, _ in fake.epochs] == [1, 2]
    for row, (_, figures) in zip(rows, fake.epochs, strict=True):
        assert figures["mean_iou"] == pytest.approx(row["mean_iou"], rel=1e-5)
        assert "epoch" not in figures
    assert fake.options["encoder"] == "resnet10t"
    assert fake.ended == len(fake.begun)
    assert json.loads((run.path / "tracking.json").read_text()) == {"wandb": "id-7"}
    assert not (run.path / "tensorboard").exists()


def test_what_is_unknown_is_left_out_and_a_known_id_goes_on(fake: Fake, tmp_path: Path) -> None:
    for rows in (ROWS[:1], ROWS[1:]):
        tracking = Tracking(["wandb"], tmp_path, OPTIONS)
        assert [tracking.write(row) for row in rows] == [[]]
        tracking.close()
    assert fake.begun == [(tmp_path.name, ""), (tmp_path.name, "id-7")]
    assert fake.epochs == [
        (1, {"train_loss": 1.5, "mean_iou": 0.25}),
        (2, {"train_loss": 0.5, "mean_iou": 0.5, "iou/a (b)": 0.125}),
    ]
    assert fake.ended == 2


def test_a_program_that_fails_is_said_once(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "trackio", Failing)
    tracking = Tracking(["trackio", "wandb"], tmp_path, OPTIONS)
    (note,) = tracking.write(ROWS[0])
    assert note.startswith("trackio does not take the figures (ConnectionError: no route), so it gets no more")
    assert tracking.write(ROWS[1]) == []
    assert len(fake.epochs) == 2


def test_names_are_checked_before_anything_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="track: expected auto, none, or tensorboard, mlflow, wandb, trackio"):
        TrainConfig.load(None, {"track": "tensorboard,comet"})
    assert TrainConfig.load(None, {"track": "none"}).tracked == []
    assert TrainConfig.load(None, {"track": "mlflow,tensorboard"}).tracked == ["mlflow", "tensorboard"]
    for name in ("mlflow", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
        words = rf"--track {name} needs the package {name}.*'fullconv\[{name}\]', or leave {name} out of --track"
        with pytest.raises(UsageError, match=words):
            fullconv.train(FOUR_SCENES, tmp_path / "run", track=name, **FEW_STEPS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("there", [True, False])
def test_the_default_is_tensorboard_where_it_is_installed(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullconv.training.config.installed", lambda name: there)
    assert TrainConfig().tracked == ["tensorboard"] * there


def test_a_run_that_had_tensorboard_by_default_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs of before named it in ``config.yaml`` though nobody had typed it."""
    monkeypatch.setattr(trackers, "library", lambda name, what: None)
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", Fake)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "InterruptRequest", lambda: Asked(4))
        with pytest.raises(Interrupted):
            fullconv.train(FOUR_SCENES, tmp_path / "run", track="tensorboard", **FEW_STEPS)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UsageError, match="--track tensorboard needs the package tensorboard"):
        fullconv.train(FOUR_SCENES, resume=tmp_path / "run", quiet=True, track="tensorboard")
    run = fullconv.train(FOUR_SCENES, resume=tmp_path / "run")
    assert "tensorboard, which the run had, is not installed here" in " ".join(capsys.readouterr().out.split())
    assert len(read_log(run.path / "log.csv")) == 2
    assert trackers.as_here(TrainConfig(track="tensorboard,wandb"))[0].tracked == ["wandb"]
    assert trackers.as_here(TrainConfig(track="wandb"))[1] == ""


def told(name: str, folder: Path) -> dict[str, str]:
    """The rows to a program, in two parts."""
    folder.mkdir()
    for row in ROWS:
        tracking = Tracking([name], folder, OPTIONS)
        assert tracking.write(row) == []
        tracking.close()
    kept: dict[str, str] = json.loads((folder / "tracking.json").read_text())
    return kept


def test_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracking = Tracking(["tensorboard"], tmp_path, OPTIONS)
    assert [tracking.write(row) for row in ROWS] == [[], []]
    tracking.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("mean_iou")] == [(1, 0.25), (2, 0.5)]


@pytest.mark.filterwarnings("ignore")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    number = told("mlflow", tmp_path / "first")["mlflow"]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = client.get_run(number)
    assert run.info.run_name == "first"
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in OPTIONS.items()}
    assert [(m.step, m.value) for m in client.get_metric_history(number, "mean_iou")] == [(1, 0.25), (2, 0.5)]
    assert [(m.step, m.value) for m in client.get_metric_history(number, "iou/a _b_")] == [(2, 0.125)]


@pytest.mark.filterwarnings("ignore")
def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    number = told("wandb", tmp_path / "first")["wandb"]
    parts = sorted((tmp_path / "first" / "wandb").glob(f"offline-run-*-{number}"))
    assert len(parts) == 2  # wandb sync sends both to one run
    assert all(list(part.glob("*.wandb")) for part in parts)


@pytest.mark.filterwarnings("ignore")
def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept"))
    trackio = pytest.importorskip("trackio")
    name = told("trackio", tmp_path / "first")["trackio"]
    (run,) = trackio.Api().runs("fullconv")
    assert run.name == name
    assert name.startswith("first-")
    assert run.config["rate"] == OPTIONS["rate"]
    storage = pytest.importorskip("trackio.sqlite_storage").SQLiteStorage
    logs = storage.get_logs("fullconv", name)
    assert [(row["step"], row["mean_iou"]) for row in logs] == [(1, 0.25), (2, 0.5)]
    assert "iou/a (b)" not in logs[0]
