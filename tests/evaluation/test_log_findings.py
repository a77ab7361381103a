"""What the log of a run shows, on runs that were made to fail that way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.data import Shapes
from fullconv.evaluation.log_findings import Row, log_findings, read_log
from fullconv.formats.open import shapes_dataset
from fullconv.training.label_maps import LabelMaps

TINY = {
    "encoder": "resnet10t", "model": "fcn4s", "batch_size": 2, "workers": 0, "check": False, "precision": "fp32",
    "scale": (1, 1), "colour": 0.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time of such runs."""
    monkeypatch.setattr(LabelMaps, "draw", lambda *_: None)


def kinds(rows: Sequence[Row], less: bool = False) -> list[str]:
    return [finding.kind for finding in log_findings(rows, less)]


def rows(train: Sequence[float], val: Sequence[float]) -> list[dict[str, float]]:
    return [{"train_loss": a, "val_loss": b, "iou/a": 0, "iou/b": 0} for a, b in zip(train, val, strict=True)]


def test_a_rate_too_high(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shapes_dataset(Shapes(height=32, width=32, train=8, val=2))
    run = fullconv.train(data, tmp_path / "run", rate=1.0, schedule="constant", epochs=4, **TINY)
    found = log_findings(read_log(run.path / "log.csv"), options={"schedule": "constant"})
    (finding,) = [one for one in found if one.kind == "rate"]
    assert "the rate was too high: " in finding.text
    said = capsys.readouterr().out
    assert finding.text in " ".join(said.split())
    assert f"try: {finding.advice}" in " ".join(said.split())
    assert "--schedule one-cycle" in finding.advice
    assert finding in fullconv.evaluate(run.path, data, device="cpu", workers=0).findings


def test_val_of_other_scenes(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(12, (32, 32))
    names = [f"scene_{index}" for index in range(12)]
    for name in names[9:]:
        file = folder / "images" / f"{name}.png"
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    (folder / "train.txt").write_text("\n".join(names[:9]))
    (folder / "val.txt").write_text("\n".join(names[9:]))
    run = fullconv.train(folder, tmp_path / "run", rate=3e-3, epochs=6, quiet=True, **TINY)
    (finding,) = [one for one in log_findings(read_log(run.path / "log.csv")) if one.kind == "gap"]
    last = read_log(run.path / "log.csv")[-1]
    assert f"{last['train_mean_iou']:.2f} on training crops, {last['mean_iou']:.2f} on val" in finding.text


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        ((1.6, 1.0, 0.7, 0.72), (1.5, 0.9, 0.8, 0.83), []),  # learns
        ((1.6, 0.9, 0.4, 0.2), (1.5, 0.9, 1.1, 1.6), []),  # learns by heart: no matter of the rate
        ((1.6, 0.9, 2.4, 3.0), (1.5, 0.9, 2.2, 4.0), ["rate"]),
        ((6.1, 41.0, 300.0, 42.0), (8e6, 4e6, 2e3, 48.0), ["rate"]),  # val falls, and still guesses worse than chance
        ((1.6, 0.4, 0.9, 0.8), (1.5, 0.9, 0.6, 0.5), []),  # labels made anew, or a term more in the loss
        ((1.6, 0.9, 0.8, 0.7, 0.6), (1.5, 0.5, 1.2, 0.5, 0.7), ["rate"]),  # to and fro
        ((1.6, 0.9, 0.8, 0.7, 0.6), (1.5, 0.5, 1.2, 0.5, 0.4), []),  # it ends at its lowest
        ((1.6, float("nan")), (float("nan"), float("nan")), []),
    ],
)
def test_curves(train: Sequence[float], val: Sequence[float], expected: list[str]) -> None:
    assert kinds(rows(train, val)) == expected


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "a --rate ten times smaller, or --clip-norm 1"),
        ({"clip_norm": 1.0}, "a --rate ten times smaller"),
        (
            {"schedule": "poly"},
            "a --rate ten times smaller, or --clip-norm 1; --schedule one-cycle warms up and decays",
        ),
    ],
)
def test_what_was_tried_is_no_advice_against_a_high_rate(options: dict[str, object], advice: str) -> None:
    (finding,) = log_findings(rows((1.6, 0.9, 2.4, 3.0), (1.5, 0.9, 2.2, 4.0)), options=options)
    assert finding.advice == advice


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "a wider --scale, more --colour; a larger --weight-decay. If"),
        ({"encoder_weights": "imagenet", "flip": True}, "a wider --scale, more --colour; a larger --weight-decay. If"),
        (
            {"encoder_weights": "none", "init_from": "run"},
            "a wider --scale, more --colour; a larger --weight-decay. If",
        ),
        ({"encoder_weights": "none", "flip": False}, "more --colour, --flip; --encoder-weights imagenet; a larger"),
    ],
)
def test_what_was_tried_is_no_advice_against_a_gap(options: dict[str, object], advice: str) -> None:
    last = {"train_loss": 0.1, "val_loss": 0.2, "train_mean_iou": 0.9, "mean_iou": 0.5}
    (finding,) = log_findings([last], options=options)
    assert advice in finding.advice


def test_less_than_masks_is_another_measure() -> None:
    """Train is scored on strokes or points there, val on masks."""
    last = {"train_loss": 0.1, "val_loss": 1.0, "train_mean_iou": 0.9, "mean_iou": 0.4}
    assert kinds([last]) == ["gap"]
    assert kinds([last], less=True) == []


def test_what_is_no_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "log.csv") == []
    (tmp_path / "log.csv").write_text("epoch,train_loss\n1,much\n")
    assert read_log(tmp_path / "log.csv") == []
    assert log_findings([]) == []
