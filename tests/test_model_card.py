"""The model card beside a run's best model."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

import fullconv
from fullconv.evaluation.metrics import Scores
from fullconv.model_card import card_of
from fullconv.model_file import read_header
from tests.builders.runs import FEW_STEPS


def test_a_run_leaves_a_card_of_its_best_model(tmp_path: Path) -> None:
    data = "shapes:height=32,width=32,train=4,val=10"
    run = fullconv.train(data, tmp_path / "street", init_from="", **FEW_STEPS)
    text = (run.path / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "unknown"
    metrics = {one["type"]: one["value"] for one in front["model-index"][0]["results"][0]["metrics"]}
    assert metrics["mean_iou"] == run.scores["mean_iou"]
    low, high = run.scores["intervals"]["mean_iou"]
    assert f"| mean IoU | {run.scores['mean_iou']:.4f} | {low:.4f} to {high:.4f} |" in text
    few = fullconv.train(data.replace("val=10", "val=3"), tmp_path / "few", init_from="", **FEW_STEPS)
    assert few.scores["intervals"]["mean_iou"] == [None, None]
    card = (few.path / "README.md").read_text()
    assert f"| mean IoU | {few.scores['mean_iou']:.4f} | too few images |" in card
    assert "intervals" not in card
    assert '"intervals"' in text
    scores = fullconv.evaluate(run.path, data, device="cpu", precision="fp32", workers=0, detail=True)
    assert isinstance(scores, Scores)
    assert scores.detail is not None
    assert list(scores.detail.intervals["mean_iou"]) == [low, high]  # the same images, counts and draws
    for said in (
        "# street", "fcn4s on resnet10t, 5 classes, 3 channels", "| 1 |", "- of the data: not stated",
        "How the model does on other data is not known.", "fullconv train DATA --config config.yaml",
        "batch_size 2",
    ):  # fmt: skip
        assert said in text, said
    assert "workers" not in text.split("## Training")[1].split("## Licences")[0]
    for name in ("best.safetensors", "config.yaml", "scores.json"):
        assert name in text.split("Files: ")[1].splitlines()[0]


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    run = fullconv.train(
        "shapes:height=32,width=32,train=2,val=1", tmp_path / "run", **{**FEW_STEPS, "epochs": 1, "track": "none"}
    )
    header = json.loads(json.dumps(read_header(run.best)))
    header["provenance"] = {}
    text = card_of(header, "other", ["model.safetensors"])
    assert "## Scores\n\nNone are known." in text
    assert "on not known" in text
    assert "With which options is not known." in text
    header["provenance"] = {"scores": {"mean_iou": 0.5}, "options": {}}
    text = card_of(header, "other", ["model.safetensors"])
    assert "| mean IoU | 0.5000 | not known |" in text
    assert "Options other than the defaults: none." in text
