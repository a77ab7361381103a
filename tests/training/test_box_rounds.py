"""Training on boxes in rounds: labels for each, kept, and a killed run that ends the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import fullconv
from fullconv.data.shapes import Shapes
from fullconv.errors import Interrupted, UsageError
from fullconv.formats.open import shapes_dataset
from fullconv.training.box_rounds import BoxRounds
from fullconv.training.ranks import Ranks
from fullconv.training.simple_does_it import SimpleDoesIt
from fullconv.weak import Box, Supervised, supervise
from fullconv.weak.boxes import filled, inner
from tests.builders.runs import FEW_STEPS, Asked

pytest.importorskip("cv2")
SIX = shapes_dataset(Shapes(height=40, width=40, train=6, val=1, occlusion=1, objects=(2, 3)))
OPTIONS: dict[str, Any] = {**FEW_STEPS, "labels": "boxes", "epochs": 2, "rounds": 2, "batch_size": 3}
ONCE = {"epochs": 1, "rounds": 1}
METHODS = ["grabcut", "inner", "filled", "boxsup"]


def kept(run: fullconv.Run, number: int) -> list[np.ndarray]:
    return [np.asarray(Image.open(run.path / "labels" / f"round_{number}" / f"{i:06d}.png")) for i in range(6)]


def truth() -> list[np.ndarray]:
    return [item.annotation.label_map(5, 255) for item in SIX.split("train")]


def boxes_of_scenes() -> list[tuple[Box, ...]]:
    sources = [item.annotation for item in supervise(SIX, "boxes").spec.split("train")]
    return [source.boxes() for source in sources if isinstance(source, Supervised)]


@pytest.mark.parametrize("method", ["grabcut", "boxsup"])
def test_a_run_cut_anywhere_ends_with_the_same_weights(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS, "box_labels": method}
    whole = fullconv.train(SIX, tmp_path / "whole", **options)
    # within the first round; at its end, before the labels of the second are made; while they are made; within it
    cuts = [("at step 1;", 0), ("at step 2;", 1), ("killed", -1), ("at step 3;", 0)]
    out, made, resume = tmp_path / "cut", BoxRounds._make, False

    def killed(self: BoxRounds, number: int, segmenter: fullconv.Segmenter) -> None:
        monkeypatch.setattr(BoxRounds, "_write", lambda *_: (_ for _ in ()).throw(Interrupted("killed")))
        made(self, number, segmenter)

    write = BoxRounds._write
    for message, questions in cuts:
        with monkeypatch.context() as patch:
            patch.setattr("fullconv.training.fit.InterruptRequest", lambda q=questions: Asked(q if q >= 0 else 10**6))
            if message == "killed":
                patch.setattr(BoxRounds, "_make", killed)
            with pytest.raises(Interrupted, match=message):
                fullconv.train(SIX, out, resume=resume, **({"quiet": True} if resume else options))
        monkeypatch.setattr(BoxRounds, "_write", write)
        resume = True
    run = fullconv.train(SIX, out, resume=True, quiet=True)
    for name, value in load_file(whole.last).items():
        assert torch.equal(value, load_file(run.last)[name]), name
    for number in (1, 2):
        for a, b in zip(kept(whole, number), kept(run, number), strict=True):
            assert np.array_equal(a, b)
    for labels, boxes in zip(kept(run, 2), boxes_of_scenes(), strict=True):
        assert not labels[filled(boxes, (40, 40), 255, 0) == 0].any()
    assert sorted(path.name for path in (run.path / "labels").iterdir() if path.name != "candidates") == [
        "round_1", "round_2",
    ]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_labels_are_those_of_the_method(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**OPTIONS, **ONCE, "box_labels": method, "quiet": False}
    run = fullconv.train(SIX, tmp_path / "run", **options)
    first, true = kept(run, 1), truth()
    boxes = boxes_of_scenes()
    said = capsys.readouterr().out
    assert ": 1 round; labels of 6 images are kept in the run folder" in said
    counts = json.loads((run.path / "labels" / "round_1" / "counts.json").read_text())
    assert counts["boxes"] == sum(map(len, boxes))
    for place in range(6):
        outside = filled(boxes[place], (40, 40), 255, 0) == 0
        assert not first[place][outside].any()
        if method == "inner":
            assert np.array_equal(first[place], inner(boxes[place], (40, 40), 255, 0))
        if method == "filled":
            assert np.array_equal(first[place], filled(boxes[place], (40, 40), 255, 0))
    every, labelled = np.stack(true), np.stack(first)
    known = labelled != 255
    right = (every == labelled)[known].mean()
    share = (every == filled_maps(boxes)).mean()
    assert {"grabcut": right > 0.95, "boxsup": right > share + 0.05}.get(method, right >= share)
    assert f"round 1: {'a segment chosen for each of ' if method == 'boxsup' else ''}{counts['boxes']} boxes" in said


def test_labels_are_the_same_however_many_are_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fullconv.train(SIX, tmp_path / "whole", **{**OPTIONS, **ONCE})
    met, prepare = [], Ranks.prepare
    monkeypatch.setattr(Ranks, "prepare", lambda self, make: met.append(prepare(self, make)) or met[-1])
    monkeypatch.setattr("fullconv.training.box_rounds.AT_ONCE", 4)
    parts = fullconv.train(SIX, tmp_path / "parts", **{**OPTIONS, **ONCE})
    assert [one["boxes"] for one in met if isinstance(one, dict)] == [
        sum(map(len, boxes_of_scenes()[:4])), sum(map(len, boxes_of_scenes()[4:])),
    ]  # fmt: skip
    assert np.array_equal(kept(whole, 1), kept(parts, 1))
    counts = [json.loads((run.path / "labels" / "round_1" / "counts.json").read_text()) for run in (whole, parts)]
    assert counts[0] == counts[1]


def filled_maps(boxes: list[tuple[Box, ...]]) -> np.ndarray:
    return np.stack([filled(some, (40, 40), 255, 0) for some in boxes])


def test_missing_labels_of_a_round_are_not_made_by_another_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS, "box_labels": "filled", "rounds": 1}
    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(3))
        with pytest.raises(Interrupted, match="at step 3;"):
            fullconv.train(SIX, tmp_path / "run", **options)
    (tmp_path / "run" / "labels" / "round_1").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"round_1: the labels of this round are missing"):
        fullconv.train(SIX, tmp_path / "run", resume=True, quiet=True)
    (tmp_path / "elsewhere").rename(tmp_path / "run" / "labels" / "round_1")
    fullconv.train(SIX, tmp_path / "run", resume=True, quiet=True)


def test_what_cannot_be_is_refused_before_a_run_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match="rounds 5: a round is at least an epoch, found 2; use --rounds 2 or more epochs"
    ):
        fullconv.train(SIX, tmp_path / "run", **{**OPTIONS, "rounds": 5})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--box-labels boxsup needs the package opencv-contrib-python-headless"):
        fullconv.train(SIX, tmp_path / "run", **{**OPTIONS, "box_labels": "boxsup"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("epochs", "starts"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (30, [0, 10, 20])])
def test_by_default_there_are_three_rounds_or_as_many_as_epochs(epochs: int, starts: list[int]) -> None:
    spec = fullconv.open_dataset(SIX)
    config = fullconv.TrainConfig(epochs=epochs, labels="boxes")
    assert SimpleDoesIt(config, spec, spec.split("train"), lambda line: None).starts == starts
