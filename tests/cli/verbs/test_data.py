"""``check`` and ``convert`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullconv.cli.main import run
from tests.builders.commands import TINY, complaint
from tests.builders.folders import Make


def test_check_says_what_it_found(make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_folder(6)
    assert run(["check", str(data), "--json", str(tmp_path / "c.json")]) == 0
    assert "fit for training" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["images"] == {"train": 5, "val": 1}
    (data / "images" / "scene_0.png").write_bytes((data / "images" / "scene_0.png").read_bytes()[:300])
    assert run(["check", str(data)]) == 3
    assert "truncated, it ends too early\n  fix: copy it again from its source" in capsys.readouterr().out
    assert run(["train", str(data), "--out", str(tmp_path / "run"), *TINY]) == 3
    assert "truncated, it ends too early" in complaint(capsys)
    assert not (tmp_path / "run").exists()
