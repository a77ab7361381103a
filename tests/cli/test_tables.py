"""Tables and lines on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

import fullconv
from fullconv.cli.main import run
from fullconv.spec import ClassSet, Preprocessing
from tests.builders.folders import Make


def test_names_are_printed_as_they_are(make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(3)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["b:x:", "disc", "square", "triangle", "ring"]}))
    (root / "masks" / "scene_1.png").rename(root / "masks" / ":x:1.png")
    (root / "images" / "scene_1.png").rename(root / "images" / ":x:1.png")
    (root / "masks" / ":x:1.png").write_bytes(b"")
    run(["check", str(root)])
    said = capsys.readouterr().out
    assert "b:x:" in said
    assert ":x:1.png" in said


@pytest.mark.parametrize("bf16", [True, False])
def test_info_says_what_predict_will_do(
    bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    built = fullconv.build_model("fcn32s", 2, "mobilenetv2_050")
    fullconv.Segmenter(built, ClassSet(("a", "b")), Preprocessing()).save(tmp_path / "m.safetensors")
    assert run(["info", str(tmp_path / "m.safetensors")]) == 0
    expected = str(fullconv.load(tmp_path / "m.safetensors").runner)
    assert expected.startswith("bf16" if bf16 else "fp32")
    assert f"computed on this machine by {expected}" in capsys.readouterr().out


def test_info_writes_sizes_as_sizes_and_ranges_as_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"crop": [160, 224], "scale": [0.5, 1.6], "crf_loss_deviations": [25.0, 10.0], "streams": [32, 16]}
    built = fullconv.build_model("fcn32s", 2, "mobilenetv2_050")
    segmenter = fullconv.Segmenter(built, ClassSet(("a", "b")), Preprocessing(), provenance={"options": options})
    segmenter.save(tmp_path / "m.safetensors")
    run(["info", str(tmp_path / "m.safetensors")])
    said = capsys.readouterr().out
    for line in ("crop 160x224", "scale 0.5000 to 1.6000", "crf loss deviations 25.0000, 10.0000", "streams 32, 16"):
        assert line in said
