"""KITTI Road's scores against a loop over every threshold and pixel, written from the benchmark's definition."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.data import Batch
from fullconv.evaluation.evaluate import evaluate
from fullconv.evaluation.road import RoadCounts
from fullconv.models import build_model
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

CLASSES = ClassSet(("background", "road"), ((255, 0, 0), (255, 0, 255)))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    built = build_model("fcn8s", 2, "resnet10t")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    return Segmenter(built, CLASSES, Preprocessing()).to("cpu", "fp32")


def folder(root: Path, count: int = 10) -> Path:
    """KITTI Road's layout: the road in blue, what is judged in red, nothing else is."""
    random = np.random.default_rng(0)
    for index in range(count):
        mask = np.zeros((40, 64, 3), np.uint8)
        mask[8:, 4:, 0] = 255
        mask[20:, 10 : 40 + index, 2] = 255
        files = {"image_2": random.integers(0, 256, (40, 64, 3), dtype=np.uint8), "gt_image_2": mask}
        for name, values in files.items():
            file = root / "training" / name / f"um_{'road_' if values is mask else ''}{index:06}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(file)
    return root


def by_hand(images: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Of (probability, is road, is judged) images."""
    chance = np.concatenate([c[judged] for c, _, judged in images])
    truth = np.concatenate([road[judged] for _, road, judged in images])
    rows = []
    for level in range(256):
        found = chance >= np.float32(level) / np.float32(255)
        tp, fp = int((found & truth).sum()), int((found & ~truth).sum())
        fn, tn = int((~found & truth).sum()), int((~found & ~truth).sum())
        precision, recall = tp / (tp + fp) if tp else 0.0, tp / (tp + fn)
        f = 2 * precision * recall / (precision + recall) if tp else 0.0
        rows.append((f, precision, recall, fp / (fp + tn), fn / (fn + tp), level / 255))
    best = max(rows, key=lambda row: row[0])
    highest = [max(p for _, p, r, *_ in rows if r >= point / 10) for point in range(11)]
    names = ("max_f", "precision", "recall", "false_positive_rate", "false_negative_rate", "threshold")
    return {**dict(zip(names, best, strict=True)), "average_precision": sum(highest) / 11}


def test_scores_are_those_of_the_definition(segmenter: Segmenter, tmp_path: Path) -> None:
    data = fullconv.open_dataset(folder(tmp_path))
    scores = evaluate(segmenter, data, workers=0)
    images = []
    for item in data.split("val"):
        found = segmenter.predict(tmp_path / "training" / "image_2" / f"{item.id}.png", confidence=True)
        assert found.confidence is not None
        chance = np.where(found.labels == 1, found.confidence, 1 - found.confidence)
        mask = np.asarray(Image.open(tmp_path / "training" / "gt_image_2" / f"{item.id.replace('_', '_road_')}.png"))
        images.append((chance.astype(np.float32), mask[..., 2] > 0, mask[..., 0] > 0))
    assert scores.road is not None
    expected = by_hand(images)
    assert {name: value for name, value in vars(scores.road).items() if name != "kind"} == pytest.approx(expected)
    assert 0 < expected["recall"] <= 1
    assert scores.to_dict()["kitti_road"]["space"] == "perspective"
    assert "the benchmark's own figures are of bird's eye view" in str(scores.road)


@pytest.mark.parametrize("levels", [3, 256])
def test_any_probabilities(levels: int) -> None:
    """Exactly at thresholds too, and never more sure than 0.4, say."""
    random = np.random.default_rng(levels)
    chance = (random.integers(0, levels, (2, 30, 40)) / (levels - 1)).astype(np.float32)
    truth = np.where(random.random(chance.shape) < chance, 1, 0)
    truth[:, :3] = 255
    counts = RoadCounts(CLASSES, "road")
    labels = (chance >= 0.5).astype(np.uint8)
    sure = np.where(labels == 1, chance, 1 - chance)
    batch = Batch(torch.zeros(2, 3, 30, 40), torch.from_numpy(truth), ["a", "b"], [0, 0], torch.zeros(2, 4))
    counts(batch, torch.from_numpy(labels), [], torch.from_numpy(sure))
    given = np.where(labels == 1, sure, 1 - sure)
    expected = by_hand([(given, truth == 1, truth != 255)])
    assert {name: value for name, value in vars(counts.scores()).items() if name != "kind"} == pytest.approx(expected)


def test_without_road_there_is_no_score() -> None:
    assert math.isnan(RoadCounts(CLASSES, "road").scores().max_f)
    assert "no MaxF" in str(RoadCounts(CLASSES, "road").scores())


def test_the_command_says_them_and_a_model_of_more_classes_why_not(
    segmenter: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "data")
    segmenter.save(tmp_path / "m.safetensors")
    command = ["evaluate", str(tmp_path / "m.safetensors"), str(root), "--device", "cpu", "--workers", "0"]
    assert run([*command, "--json", str(tmp_path / "s.json"), "--report", str(tmp_path / "r.html")]) == 0
    kept = json.loads((tmp_path / "s.json").read_text())["kitti_road"]
    assert f"KITTI Road (road): MaxF {kept['max_f']:.4f}  AP {kept['average_precision']:.4f}" in capsys.readouterr().out
    assert "KITTI Road MaxF (road)" in (tmp_path / "r.html").read_text()
    three = ClassSet(("background", "road", "car"))
    more = Segmenter(build_model("fcn8s", 3, "resnet10t"), three, Preprocessing()).to("cpu", "fp32")
    scores = evaluate(more, dataclasses.replace(fullconv.open_dataset(root), declared=True), workers=0)
    assert scores.road is None
    assert any("need a model of two classes" in note and "found 3" in note for note in scores.notes)
