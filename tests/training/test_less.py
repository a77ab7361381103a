"""Training from boxes, tags, scribbles and points, alone and mixed, by the command a user types."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import fullconv
from fullconv.cli.main import run as command
from fullconv.data import Batch, DatasetSpec, Item, Shapes
from fullconv.data.annotations import Annotation, box_ring
from fullconv.data.drawing import Annotations
from fullconv.errors import Interrupted
from fullconv.formats.open import shapes_dataset
from fullconv.geometry import Window
from fullconv.training.ranks import Ranks
from fullconv.weak import Supervision, supervise
from tests.builders.commands import TINY
from tests.builders.runs import FEW_STEPS, Asked

SCENES = shapes_dataset(Shapes(height=32, width=32, train=8, val=2))
OPTIONS = {**FEW_STEPS, "epochs": 3, "schedule": "constant", "rate": 3e-3}
VOID = 255


def rows(run: fullconv.Run) -> list[dict[str, str]]:
    with (run.path / "log.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def annotated(items: Sequence[Item], kind: str) -> list[Item]:
    """Scenes whose masks nobody has: somebody drew boxes, lines or points, or named what is there."""
    result = []
    for item, seen in zip(items, supervise(SCENES, "boxes").spec.split("train"), strict=False):
        boxes, found = seen.annotation.boxes(), list[Annotation]()
        for label, left, top, right, bottom in boxes:
            places = np.array([(left + 0.5, (top + bottom) / 2), (right - 0.5, (top + bottom) / 2)])
            if kind == "boxes":
                found.append(Annotation(label, "box", (box_ring(left, top, right, bottom),)))
            elif kind == "tags":
                found.append(Annotation(label, "tag"))
            else:
                found.append(Annotation(label, "line" if kind == "scribbles" else "point", (places,)))
        source = Annotations(item.id, (32, 32), tuple(found), has_label_map=False)
        result.append(dataclasses.replace(item, annotation=source))
    return result


def mixed() -> DatasetSpec:
    """Two images with masks, two with boxes, and one each with lines, points, tags and nothing."""
    items = list(SCENES.split("train"))
    train = [
        *items[:2], *annotated(items[:4], "boxes")[2:], *annotated(items[:5], "scribbles")[4:],
        *annotated(items[:6], "points")[5:], *annotated(items[:7], "tags")[6:],
    ]  # fmt: skip
    bare = dataclasses.replace(items[7], annotation=Annotations("bare", (32, 32), (), has_label_map=False))
    return dataclasses.replace(SCENES, splits={"train": [*train, bare], "val": SCENES.split("val")})


@pytest.mark.parametrize("kind", ["boxes", "tags", "scribbles", "points"])
def test_shapes_teach_as_less(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = "shapes:train=4,val=2,height=32,width=32", tmp_path / "run"
    rounds = ["--rounds", "1"] * (kind == "boxes")
    assert command(["train", data, "--out", str(out), "--labels", kind, *TINY, *rounds]) == 0
    said = capsys.readouterr().out
    assert f"learns from {kind} of 4 images, derived from masks" in said
    assert "against" not in said  # val has its masks
    assert f"labels: {kind}" in (out / "config.yaml").read_text()


def test_a_mixture_of_kinds_trains_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, options = mixed(), {**OPTIONS, "crf_loss": 0.1, "crf_loss_start": 0.0, "box_labels": "filled"}
    whole = fullconv.train(data, tmp_path / "whole", **{**options, "quiet": False})
    said = capsys.readouterr().out
    assert (
        "learns from masks of 2 images; boxes of 2 images; scribbles of 1 image; points of 1 image; tags of 1 image"
        in said
    )
    assert "1 of 8 train images have no annotation, left out (shapes_000007)" in said
    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(1))  # of four steps an epoch
        with pytest.raises(Interrupted, match="at step 2;"):
            fullconv.train(data, tmp_path / "cut", **options)
    run = fullconv.train(data, tmp_path / "cut", resume=True, quiet=True)
    assert rows(run) == rows(whole)
    for name, value in load_file(whole.last).items():
        assert torch.equal(value, load_file(run.last)[name]), name


class Doubled:
    """A term that counts its steps: every other one has nothing to say."""

    name = "doubled"

    def opening(self) -> list[str]:
        return ["the term speaks"]

    def start(self, ranks: Ranks) -> None: ...

    def loss(self, logits: Tensor, batch: Batch, window: Window, step: int) -> Tensor | None:
        return 0 * logits.sum() + step if step % 2 else None


def test_what_a_term_gives_is_a_column_and_survives_a_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fullconv.training.objectives._terms", lambda *_: [Doubled()])
    whole = fullconv.train(SCENES, tmp_path / "whole", **{**OPTIONS, "quiet": False})
    assert "the term speaks\n" in capsys.readouterr().out
    log = rows(whole)
    assert [float(row["train_doubled"]) for row in log] == [2, 6, 10]  # of steps 1 and 3, 5 and 7, 9 and 11
    assert all(float(row["train_loss"]) > float(row["train_doubled"]) / 2 for row in log)
    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(1))
        with pytest.raises(Interrupted, match="at step 2;"):
            fullconv.train(SCENES, tmp_path / "cut", **OPTIONS)
    assert rows(fullconv.train(SCENES, tmp_path / "cut", resume=True, quiet=True)) == log


def test_scribbles_ask_about_no_other_pixel() -> None:
    """Partial cross-entropy: what lies beside the strokes changes neither loss nor gradient."""
    found = supervise(SCENES, "scribbles")
    labels = torch.from_numpy(found.spec.split("train")[0].annotation.label_map(5, VOID))[None]
    logits = torch.randn(1, 5, 8, 8, requires_grad=True)
    loss = fullconv.ops.upsample_cross_entropy(logits, labels)
    loss.backward()
    big = torch.nn.functional.interpolate(logits.detach(), (32, 32), mode="bilinear").requires_grad_()
    marked = labels != VOID
    expected = torch.nn.functional.cross_entropy(big.permute(0, 2, 3, 1)[marked], labels[marked].long())
    torch.testing.assert_close(loss, expected)
    expected.backward()
    assert big.grad is not None
    assert not big.grad.permute(0, 2, 3, 1)[~marked].any()


def test_val_without_masks_is_scored_against_what_it_has_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = annotated(SCENES.split("val"), "boxes")
    data = dataclasses.replace(SCENES, splits={"train": SCENES.split("train"), "val": val})
    run = fullconv.train(data, tmp_path / "run", **{**OPTIONS, "epochs": 1, "quiet": False})
    said = capsys.readouterr().out
    assert "no val image has a mask: the val scores are against boxes, not masks" in said
    assert "mean IoU (boxes)" in said
    assert f"mean IoU against boxes, not masks {run.scores['mean_iou']:.4f}" in said
    assert "scored against boxes, not masks" in json.loads((run.path / "scores.json").read_text())["notes"]
    assert run.segmenter("cpu").provenance["scored_against"] == "boxes"


def test_val_of_tags_alone_has_no_score_and_keeps_the_last_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = annotated(SCENES.split("val"), "tags")
    data = dataclasses.replace(SCENES, splits={"train": SCENES.split("train"), "val": val})
    run = fullconv.train(data, tmp_path / "run", **{**OPTIONS, "epochs": 2, "quiet": False})
    assert run.scores["epoch"] == 2
    assert f"no mean IoU (val has no labelled pixel); the model of epoch 2: {run.best}" in capsys.readouterr().out


def test_frequencies_are_those_of_what_is_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights from the masks would know what boxes do not say."""
    options = {**OPTIONS, "epochs": 1, "labels": "points", "class_weights": "median-frequency", "quiet": False}
    fullconv.train(SCENES, tmp_path / "run", **options)
    found: Supervision = supervise(SCENES, "points", spread=True)
    labels = [item.annotation.label_map(5, VOID) for item in found.spec.split("train")]
    counts = np.array([np.bincount(one.ravel(), minlength=256)[:5] for one in labels], float)
    frequency = counts.sum(0) / ((counts > 0) * counts.sum(1, keepdims=True)).sum(0)
    weights = np.median(frequency) / frequency
    names = SCENES.classes.names
    expected = "class weights: " + ", ".join(f"{n} {w:.3g}" for n, w in zip(names, weights, strict=True))
    assert expected in capsys.readouterr().out
