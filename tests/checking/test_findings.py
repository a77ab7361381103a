"""Findings as lines and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from fullconv.cli.main import run
from tests.builders.faults import (
    describe,
    leak,
)
from tests.builders.folders import Make


def test_many_faults_of_a_kind_are_counted(make_folder: Make, capsys, tmp_path: Path) -> None:
    root = make_folder(14)
    describe(root)
    for path in (root / "images").iterdir():
        path.write_bytes(b"broken")
    assert run(["check", str(root), "--json", str(tmp_path / "c.json"), "--html", str(tmp_path / "c.html")]) == 3
    said = capsys.readouterr().out
    assert said.count("not an image that can be read") == 3
    assert "problem: and 11 more of the kind 'unreadable', 14 of 14 images in all" in said
    assert "pixels" not in said  # no table of zeros
    assert len(json.loads((tmp_path / "c.json").read_text())["problems"]) == 14


def test_json_has_the_findings_with_their_pairs(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder(6)
    describe(root)
    leak(root)
    assert run(["check", str(root), "--json", str(tmp_path / "c.json")]) == 0
    found = json.loads((tmp_path / "c.json").read_text())
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["leak"]["pairs"] == [["train: images/scene_1.png", "val: images/scene_4.png"]]
    assert kinds["leak"]["problem"] is False
    assert found["encodings"] == {"grey, 8 bits (PNG)": 6}
    assert found["ids_present"] == [0, 1, 2, 3, 4]
    assert found["declared"] is True
    assert len(found["class_weights"]) == 5
    assert found["void_share"] == {"train": 0.0, "val": 0.0}
