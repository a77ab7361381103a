"""The CRF loss in training: its phases, its column, padding, and a run that is cut within phase 2."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import fullconv
from fullconv.data import Batch
from fullconv.errors import Interrupted, UsageError
from fullconv.geometry import Window
from fullconv.ops import crf_loss as op
from fullconv.ops import dense_crf_loss
from fullconv.training.config import TrainConfig
from fullconv.training.crf_term import CrfTerm
from tests.builders.runs import FEW_STEPS, FOUR_SCENES, Asked

OPTIONS = {**FEW_STEPS, "epochs": 3, "schedule": "constant", "rate": 3e-3, "crf_loss": 0.5, "crf_loss_start": 0.4}


def batch() -> Batch:
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    inside = torch.tensor([(0, 16, 0, 16), (0, 9, 4, 16)])
    return Batch(pixels, torch.full((2, 16, 16), 255), ["a", "b"], [0, 0], inside)


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.4, 7), (0.5, 7), (0.99, 14)])
def test_phases(start: float, first: int) -> None:
    """Three epochs of seven steps; phase 2 begins with an epoch."""
    term = CrfTerm(TrainConfig(epochs=3, crf_loss=0.5, crf_loss_start=start), 7)
    given, window = batch(), Window(0, 0, 16, 16)
    logits = torch.randn(2, 5, 4, 4)
    if first:
        assert term.loss(logits, given, window, first - 1) is None
    found = term.loss(logits, given, window, first)
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found, 0.5 * dense_crf_loss(logits, given.pixels, inside=given.inside))
    assert f"from epoch {first // 7 + 1} of 3 on" in term.opening()[0]
    near = CrfTerm(TrainConfig(crf_loss=1, crf_loss_start=0, crf_loss_deviations=(4, 30)), 7)
    expected = dense_crf_loss(logits, given.pixels, inside=given.inside, position_deviation=4, colour_deviation=30)
    torch.testing.assert_close(near.loss(logits, given, window, 0), expected)


def test_deviations_are_above_0() -> None:
    with pytest.raises(UsageError, match="crf_loss_deviations must be two positive numbers"):
        TrainConfig.load(None, {"crf_loss_deviations": (0, 15)})


def test_a_run_cut_within_phase_2_ends_with_equal_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(op, "EXACT_PLACES", 0)  # the lattice
    whole = fullconv.train(FOUR_SCENES, tmp_path / "whole", labels="boxes", **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(3))  # once more while it validates
        with pytest.raises(Interrupted, match="at step 3;"):
            fullconv.train(FOUR_SCENES, tmp_path / "cut", labels="boxes", **OPTIONS)
    run = fullconv.train(FOUR_SCENES, tmp_path / "cut", resume=True, quiet=True)
    for name, value in load_file(whole.last).items():
        assert torch.equal(value, load_file(run.last)[name]), name
    with (run.path / "log.csv").open() as file:
        column = [row["train_crf_loss"] for row in csv.DictReader(file)]
    assert column[0] in ("", "nan")
    assert all(0 < float(value) < 0.5 for value in column[1:])
