"""Tables and lines on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

import fullconv
from fullconv.cli.main import run
from fullconv.cli.provenance import provenance_rows
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
    for line in ("crop 160x224", "scale 0.5 to 1.6", "crf loss deviations 25, 10", "streams 32, 16"):
        assert line in said


@pytest.mark.parametrize("minutes", [None, 2.0])
def test_info_says_what_a_run_has_trained(
    minutes: float | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not how many a run with a time had planned first: it follows the clock."""
    provenance = {
        "options": {"epochs": 36, "minutes": minutes, "rate": 5e-5}, "steps": 28, "of_steps": 72, "epoch": 14,
        "scores": {"mean_iou": 0.51239, "mean_iou_of_val": 0.51239, "iou/class_0": 0.5, "val_loss": None},
        "intervals": {"mean_iou": [0.4, 0.61239], "fw_iou": [None, None]},
    }  # fmt: skip
    segmenter = fullconv.Segmenter(
        fullconv.build_model("fcn32s", 2, "mobilenetv2_050"), ClassSet(("class_0", "b")), Preprocessing(),
        provenance=provenance,
    )  # fmt: skip
    segmenter.save(tmp_path / "best.safetensors")
    run(["info", str(tmp_path / "best.safetensors")])
    of = minutes is None
    assert "14 (28 steps)" + ", of 36 planned" * of in capsys.readouterr().out
    (tmp_path / "log.csv").write_text("epoch,mean_iou\n" + "".join(f"{i},0.5\n" for i in range(1, 23)))
    run(["info", str(tmp_path)])
    said = capsys.readouterr().out
    assert f"22{' of 36' * of} trained; this is epoch 14 (28 steps)" in said
    for line in (
        *["minutes 2 "] * (not of),
        "rate 5e-05 ",
        "mean IoU 0.5124 ",
        "IoU of class_0 0.5 ",
        "mean IoU 0.4 to 0.6124",
    ):
        assert line in said
    for line in ("None", "epochs 36", "val loss", "of steps", "in val", "iou/", "fw"):
        assert line not in said


def test_info_says_nothing_of_ranges_that_are_not_known() -> None:
    assert provenance_rows({"intervals": {"mean_iou": [None, None]}, "data": "shapes"}) == {"data": "shapes"}
    assert provenance_rows({"steps": 3}) == {"steps": "3"}
