"""``check`` and ``convert`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

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


def test_one_class_is_one(make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_folder(3)
    (data / "dataset.yaml").write_text("values: {0: thing, 1: thing, 2: thing, 3: thing, 4: thing}\n")
    run(["check", str(data)])
    said = capsys.readouterr().out
    assert f"{data}: folder, 1 class\n" in said
    assert "ids: 1 of 1 class is present (declared)" in said
    assert run(["convert", str(data), str(tmp_path / "copy")]) == 0
    assert f"{data}: folder, 1 class\n" in capsys.readouterr().out


def test_masks_of_which_none_can_be_read_make_no_class(make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_folder(6)
    page = data.parent / "page.html"
    assert run(["check", str(data)]) == 0
    hint = f"(largest id 4); name them in {data / 'classes.txt'}, one a line, or as 'classes' in dataset.yaml"
    assert hint in capsys.readouterr().out
    for mask in (data / "masks").iterdir():
        Image.open(mask).save(mask.with_suffix(".jpg"))
        mask.unlink()
    assert run(["check", str(data), "--html", str(page)]) == 3
    said = capsys.readouterr().out
    assert said.startswith(f"{data}: folder\n")
    assert "class names are not given, and no mask could be read to count classes" in said
    assert "ids: none could be read\n" in said
    assert "1 class" not in said
    assert "<dd>none could be read</dd>" in page.read_text()
