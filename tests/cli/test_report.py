"""What evaluate says after the scores, at a terminal of 80 columns."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from fullconv.cli.main import run
from fullconv.cli.report import evaluation_report
from fullconv.evaluation.finding import Finding
from fullconv.evaluation.metrics import ConfusionMatrix, ImageScore, Scores
from fullconv.spec import ClassSet
from tests.builders.models import make
from tests.builders.oracle import shown


def said(scores: Scores, width: int = 80) -> list[str]:
    text = io.StringIO()
    evaluation_report(scores, Console(file=text, width=width, emoji=False))
    return text.getvalue().splitlines()


def of(counts: list[list[int]] | np.ndarray, names: list[str], **rest: object) -> Scores:
    matrix = ConfusionMatrix(ClassSet(tuple(names)))
    matrix.counts = torch.tensor(np.asarray(counts))
    return matrix.scores(images=3, **rest)


def test_the_matrix_in_percent_of_each_row() -> None:
    lines = said(of([[999, 1, 0], [30, 70, 0], [0, 0, 0]], ["ground", "pole", "ghost"]))
    assert lines[1:] == [
        "              0   1   2",
        "ground 0     99   0    ",
        "pole   1     30  70    ",
    ]  # fmt: skip
    assert said(of([[10, 0], [7, 0]], ["ground", "pole"]))[2:] == ["ground 0    100    ", "pole   1    100    "]


def test_twenty_one_classes_fit_into_80_columns() -> None:
    names = [f"class number {index}" for index in range(21)]
    counts = np.eye(21, dtype=int) * 50 + 2
    counts[3] = 0
    counts[4] = np.eye(21, dtype=int)[4]
    lines = said(of(counts, names))
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == [str(index) for index in range(21)]
    rows = [line for line in lines if line.startswith("class numbe")]
    assert len(rows) == 20
    assert rows[3].split()[-2:] == ["4", "100"]
    assert rows[0].split() == ["class", "numbe…", "0", "57", *["2"] * 20]


def test_more_classes_are_said_in_pairs() -> None:
    names = [f"c{index}" for index in range(60)]
    counts = np.eye(60, dtype=int) * 10
    counts[7, 8], counts[9, 1] = 30, 2
    lines = said(of(counts, names))
    assert lines == ["confused most, in percent of the true class's pixels:", "   75  c7 taken for c8",
                     "   17  c9 taken for c1"]  # fmt: skip


def test_worst_images_and_findings() -> None:
    """Findings of one advice together, in the order of the first."""
    findings = tuple(Finding("x", (f"c{i}",), f"c{i} fails", ("this", "that")[i % 2]) for i in range(14))
    worst = (ImageScore("a", "photos/a.jpg", 0.25), ImageScore("b", "photos/b.jpg", 0.5))
    scores = of([[1, 0], [0, 1]], ["x", "y"], worst=worst, findings=findings)
    lines = said(scores)
    assert lines[4:9] == [
        "worst images (mean IoU in the image alone):", "  0.250  a  photos/a.jpg", "  0.500  b  photos/b.jpg",
        "c0 fails", "c2 fails",
    ]  # fmt: skip
    assert lines[13:16] == ["  try: this", "c1 fails", "c3 fails"]
    assert lines[-1] == "and 2 findings more: --report FILE has all"
    text = io.StringIO()
    evaluation_report(scores, Console(file=text, width=80), Path("s.html"))
    assert text.getvalue().splitlines()[-1] == "and 2 findings more: s.html has all"


def test_nothing_labelled_has_nothing_to_say() -> None:
    assert said(of(np.zeros((3, 3), int), ["a", "b", "c"])) == []


def test_the_command_says_it_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segmenter = make()
    segmenter.network.score["8"].bias.data[0] = 1e4
    segmenter.save(tmp_path / "m.safetensors")
    labels = np.zeros((32, 40), np.uint8)
    labels[:, 10:30], labels[5:9, :] = 1, 2
    data = shown(tmp_path / "data", ("ground", "disc", "ring"), [labels, labels.T])
    command = ["evaluate", str(tmp_path / "m.safetensors"), str(data), "--workers", "0", "--precision", "fp32"]
    out = [tmp_path / "s.json", tmp_path / "pictures"]
    assert run([*command, "--json", str(out[0]), "--pictures", str(out[1])]) == 0
    text = capsys.readouterr().out
    assert "every pixel is predicted as ground, of 3 classes that are there" in text
    assert "try: train longer" in text
    assert f"pictures: {out[1] / 'confusion.png'}, {out[1] / 'worst.png'}" in text.replace("\n", "")
    content = json.loads(out[0].read_text())
    total = 2 * 32 * 40
    assert np.sum(content["confusion"]) == total
    assert np.sum(content["confusion"], axis=0).tolist() == [total, 0, 0]
    assert [finding["kind"] for finding in content["findings"]] == ["one-class"]
    assert {image["id"] for image in content["worst"]} == {"0", "1"}
    assert content["classes"][0]["precision"] == content["classes"][0]["iou"]
    assert run([*command, "--pictures", str(out[0])]) == 2
