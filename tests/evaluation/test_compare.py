from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import fullconv
from fullconv.cli.main import run
from fullconv.cli.tables import comparison_table
from fullconv.errors import UsageError
from fullconv.evaluation.compare import Comparison
from fullconv.evaluation.intervals import bootstrap, paired
from fullconv.formats.open import open_dataset
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

DATA = "shapes:height=40,width=56,train=4,val=12"


def segmenter(seed: int, names: tuple[str, ...] | None = None) -> Segmenter:
    torch.manual_seed(seed)
    built = fullconv.build_model("fcn8s", 5, "resnet18")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    classes = open_dataset(DATA).classes
    return Segmenter(built, ClassSet(names) if names else classes, Preprocessing()).to("cpu", "fp32")


def test_differences_are_those_of_the_same_images() -> None:
    models = [segmenter(1), segmenter(2), segmenter(1)]
    told: list[tuple[int, int]] = []
    found = fullconv.compare(models, DATA, precision="fp32", progress=lambda *done: told.append(done))
    assert told == [(number, 36) for number in range(1, 37)]
    alone = [fullconv.evaluate(model, DATA, detail=True) for model in models]
    assert [scores.mean_iou for scores in found.scores] == [scores.mean_iou for scores in alone]
    counts = [np.stack([image.counts for image in scores.detail.images]) for scores in alone]
    assert found.differences[0] == paired(counts[0], counts[1])
    assert found.scores[0].detail.intervals == bootstrap(counts[0])
    assert found.differences[1]["mean_iou"].value == 0
    assert not found.differences[1]["mean_iou"].real
    assert found.names == ("fcn8s (1)", "fcn8s (2)", "fcn8s (3)")


def test_classes_in_another_order_are_compared_by_name() -> None:
    names = open_dataset(DATA).classes.names
    first, second = segmenter(1), segmenter(1, (*names[1:], names[0]))
    for layer in second.network.score.values():  # the same network, its classes in another order
        layer.weight.data = layer.weight.data.roll(-1, 0)
        layer.bias.data = layer.bias.data.roll(-1, 0)
    found = fullconv.compare([first, second], DATA)
    assert found.scores[0].mean_iou == pytest.approx(found.scores[1].mean_iou)
    assert found.differences[0]["mean_iou"].value == pytest.approx(0, abs=1e-12)
    assert not found.differences[0]["pixel_accuracy"].real


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        (tmp_path / f"run{seed}").mkdir()
        segmenter(seed).save(tmp_path / f"run{seed}" / "best.safetensors")
    (tmp_path / "run1" / "environment.json").write_text(json.dumps({"given": DATA}))
    command = ["compare", str(tmp_path / "run1"), str(tmp_path / "run2"), "--precision", "fp32"]
    assert run([*command, "--json", str(tmp_path / "c.json")]) == 0
    out = capsys.readouterr().out
    assert "run2 - run1:\n  mean IoU " in out
    kept = json.loads((tmp_path / "c.json").read_text())
    assert [model["name"] for model in kept["models"]] == ["run1", "run2"]
    difference = kept["differences_from_the_first"][0]["mean_iou"]
    assert difference["value"] == pytest.approx(kept["models"][1]["mean_iou"] - kept["models"][0]["mean_iou"])
    assert f"{difference['value']:+.4f}" in out
    assert run(["evaluate", str(tmp_path / "run1"), "--precision", "fp32", "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["mean_iou"] == kept["models"][0]["mean_iou"]


@pytest.mark.parametrize(("better", "said"), [(40, "p < 0.002: real"), (0, "p = 1.000: not shown by these images")])
def test_lines_break_between_words_and_p_has_a_smallest_step(better: int, said: str) -> None:
    counts = np.full((12, 3, 2), 100)
    counts[:, 0] = 50
    others = counts.copy()
    others[:, 0] += better  # in every image
    (different,) = [paired(counts, others)]
    assert different["mean_iou"].p_in_words() == said.partition(":")[0]
    scores = fullconv.evaluate(segmenter(1), "shapes:height=32,width=32,train=1,val=2", detail=True)
    text = io.StringIO()
    names = ("camvid-scribbles-1", "camvid-scribbles---CRF-loss-1")
    comparison_table(Comparison(names, (scores, scores), (different,)), Console(file=text, width=80, emoji=False))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    first, second = lines[-2:]
    assert first == "camvid-scribbles---CRF-loss-1 - camvid-scribbles-1:"
    assert second.startswith("  mean IoU ")
    assert second.endswith(said)


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="two models or more, found 1"):
        fullconv.compare([segmenter(1)], DATA)
    segmenter(1).save(tmp_path / "m.safetensors")
    assert run(["compare", str(tmp_path / "m.safetensors"), str(tmp_path / "m.safetensors")]) == 2
    assert "only a run folder knows its data; give it: --data DATA" in capsys.readouterr().err
    assert run(["evaluate", str(tmp_path / "m.safetensors")]) == 2
    assert "only a run folder knows its data; give it: fullconv evaluate MODEL DATA" in capsys.readouterr().err


@pytest.mark.parametrize("as_files", [True, False])
def test_models_of_other_classes_are_refused_before_any_image_is_read(
    as_files: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, other = segmenter(1), segmenter(1, ("road", *open_dataset(DATA).classes.names[1:]))
    models: list[fullconv.Segmenter | Path] = [known, other]
    if as_files:
        models = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
        known.save(models[0])
        other.save(models[1])
    monkeypatch.setattr("fullconv.evaluation.compare.evaluate", lambda *_, **__: pytest.fail("an image was read"))
    with pytest.raises(UsageError) as raised:
        fullconv.compare(models, DATA)
    count = len(known.classes)
    assert str(raised.value) == (
        f"models must know the same classes, found {count} and {count} that differ: "
        f"the first alone {known.classes.names[0]}; another alone road"
    )
