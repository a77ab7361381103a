"""``export`` from the model file to masks, its gate, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.spec import ClassSet
from tests.builders.commands import complaint
from tests.builders.exporting import SIZES, no_cost
from tests.builders.exports import tiny


@pytest.fixture(scope="module")
def exported(model: Path) -> Path:
    file = model.with_name("m.onnx")
    assert run(["export", str(model), "--to", "onnx", "--out", str(file), "--probabilities"]) == 0
    return file


def test_masks_of_an_exported_file_are_those_of_the_model(
    model: Path, exported: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(model), str(images), "--out", str(tmp_path / "torch"), "--precision", "fp32"]) == 0
    for runner in ("onnxruntime", "openvino", "auto"):
        out = tmp_path / runner
        command = ["predict", str(exported), str(images), "--out", str(out), "--runner", runner]
        assert run([*command, "--overlay"]) == 0
        said = capsys.readouterr().out
        assert f"3 masks in {out}, computed by {'openvino' if runner == 'auto' else runner} " in said
        seen: set[int] = set()
        for height, _ in SIZES:
            found, expected = (Image.open(folder / f"{height}.png") for folder in (out, tmp_path / "torch"))
            assert np.array_equal(np.asarray(found), np.asarray(expected))
            assert found.getpalette() == expected.getpalette()
            seen.update(np.unique(np.asarray(found)).tolist())
        assert len(seen) > 1


def test_an_artefact_says_what_it_is(model: Path, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    props = {prop.key: prop.value for prop in onnx.load(str(exported)).metadata_props}
    assert json.loads(props["class_names"]) == ["sky", "road", "car", "tree"]
    assert json.loads(props["palette"])[3] == [9, 99, 9]
    assert json.loads(props["ignore_index"]) == 255
    assert json.loads(props["preprocessing"])["mean"] == [0.485, 0.456, 0.406]
    assert json.loads(props["provenance"]) == {"trained_on": "nothing"}
    assert props["licence"] == "MIT"
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for graph in [onnx.load(str(exported)).graph]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "images": ["n", "height", "width", 3],
        "labels": ["n", "height", "width"],
        "logits": ["n", 4, "rows", "columns"],
        "probabilities": ["n", 4, "height", "width"],
    }
    of_model, of_export = fullconv.info(model), fullconv.info(exported)
    for key in ("model", "classes", "preprocessing", "provenance", "weights_licence", "sees"):
        assert of_export[key] == of_model[key], key
    assert run(["info", str(exported)]) == 0
    assert "computed on this machine by openvino" in capsys.readouterr().out


def test_openvino_files_tile_like_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cost(monkeypatch)
    model = tiny()
    report = fullconv.export(model, "openvino", tmp_path / "m.xml", scores=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.bin", "m.xml"]
    (rows,) = report.compared.values()
    assert len(rows) == 5
    assert sum(row.sure for row in rows) > 0.9 * sum(row.pixels for row in rows)
    loaded = fullconv.load(tmp_path / "m.xml")
    assert str(loaded.runner).startswith("openvino")
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    tiled = loaded.predict(image, tile=32, overlap=16)
    assert np.array_equal(tiled.labels, model.predict(image, tile=32, overlap=16).labels)
    assert loaded.classes == model.classes


def test_a_model_that_resizes_does_so_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cost(monkeypatch)
    model = tiny(resize=(48, 75))
    report = fullconv.export(model, out=tmp_path / "m.onnx")  # the ending says what
    assert len(report.compared) == 2
    assert not report.refused
    loaded = fullconv.load(tmp_path / "m.onnx")
    image = np.random.default_rng(0).integers(0, 256, (131, 90, 3), dtype=np.uint8)
    assert np.array_equal(loaded.predict(image).labels, model.predict(image).labels)


def test_a_model_file_computed_by_another_runner(model: Path, images: Path) -> None:
    ours, other = (fullconv.load(model, "cpu", "fp32", runner) for runner in ("torch", "onnxruntime"))
    assert str(other.runner).startswith("onnxruntime")
    image = images / "131.png"
    assert np.array_equal(ours.predict(image).labels, other.predict(image).labels)
    with pytest.raises(UsageError, match=r"load the \.safetensors file"):
        other.save("x.safetensors")


def test_evaluate_scores_an_exported_file_as_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cost(monkeypatch)
    data = fullconv.open_dataset("shapes")
    few = dataclasses.replace(data, splits={"val": data.split("val")[:3]})
    model = tiny(classes=data.classes)
    names = tuple(f"class_{index}" for index in range(len(data.classes)))
    unnamed = dataclasses.replace(few, declared=False, classes=dataclasses.replace(data.classes, names=names))
    report = fullconv.export(model, "onnx", tmp_path / "m.onnx", check=unnamed)
    (line,) = [note for note in report.notes if "by position" in note]
    assert "1 is disc" in line
    assert len(report.mean_iou) == 3
    assert len(set(report.mean_iou.values())) == 1
    scores = fullconv.evaluate(tmp_path / "m.onnx", few, workers=0)
    assert scores.mean_iou == pytest.approx(next(iter(report.mean_iou.values())))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "coreml", "--out", "m.mlmodel"], "--to must be onnx, openvino or torch, found 'coreml'"),
        (["--to", "onnx", "--out", "m.xml"], "m.xml: a file for --to onnx ends in .onnx"),
        (["--to", "onnx", "--out", "there.onnx"], "there.onnx: exists; choose another name"),
        (["--to", "openvino", "--out", "m.xml", "--int8"], "needs --calibrate DATA"),
        (["--to", "onnx", "--out", "m.onnx", "--int8", "--calibrate", "shapes"], "--int8 is written for --to openvino"),
        (["--to", "onnx", "--out", "m.onnx", "--calibrate", "shapes"], "--calibrate is of --int8"),
        (
            ["--to", "openvino", "--out", "m.xml", "--for", "coral"],
            "--for must be model-api, deepness, triton, hub",
        ),
        (["--to", "onnx", "--out", "m.onnx", "--for", "model-api"], "is written with --to openvino, found --to onnx"),
    ],
)
def test_arguments_that_cannot_be(
    arguments: list[str], expected: str, model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").touch()
    assert run(["export", str(model), *arguments]) == 2
    assert expected in complaint(capsys)


def test_files_that_cannot_be_read(tmp_path: Path, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = exported.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    other = onnx.load(str(exported))
    del other.metadata_props[:]
    onnx.save(other, str(tmp_path / "foreign.onnx"))
    (tmp_path / "m.xml").write_text("<net/>")
    for name, expected in (
        ("cut.onnx", "cut.onnx: not a readable ONNX file"),
        ("foreign.onnx", "foreign.onnx: fullconv did not export it"),
        ("m.xml", "m.xml: not a readable OpenVINO model"),
    ):
        assert run(["info", str(tmp_path / name)]) == 2
        assert expected in complaint(capsys)
    for options, expected in (
        (["--runner", "tensorrt"], "runner must be auto, torch, openvino or onnxruntime, found 'tensorrt'"),
        (["--runner", "torch"], "runner 'torch' does not compute .onnx files"),
        (["--device", "cuda"], "exported networks are computed on the CPU, found --device cuda"),
        (["--runner", "onnxruntime", "--precision", "bf16"], "onnxruntime computes on a CPU in fp32, found bf16"),
    ):
        assert run(["predict", str(exported), __file__, "--out", str(tmp_path), *options]) == 2
        assert expected in complaint(capsys)


def test_a_library_that_is_missing_names_the_extra(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(["export", str(model), "--to", "onnx", "--out", str(tmp_path / "m.onnx")]) == 2
    assert "pip install 'fullconv[export]'" in complaint(capsys)


def test_a_disk_without_room_is_refused_first(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=4_000_000 if folder.exists() else 0))
    assert run(["export", str(model), "--to", "onnx", "--out", str(tmp_path / "new" / "m.onnx")]) == 1
    assert "m.onnx: needs 19.7 MB on the disk, 4.0 MB are free" in complaint(capsys)
    assert list(tmp_path.iterdir()) == []


def test_data_of_other_classes_are_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(model), "--to", "openvino", "--out", str(tmp_path / "m.xml"), "--int8"]
    assert run([*command, "--calibrate", "shapes"]) == 3
    assert "use data whose classes, by name, are among the model's" in complaint(capsys)
    assert list(tmp_path.iterdir()) == []


def test_networks_that_find_objects_are_refused(tmp_path: Path) -> None:
    built = fullconv.build_model("maskrcnn", 3, "resnet10t", model_args={"pyramid_channels": 8, "head_channels": 8})
    segmenter = fullconv.Segmenter(built, ClassSet(("background", "a", "b")), fullconv.Preprocessing())
    with pytest.raises(UsageError, match="chooses its objects one by one"):
        fullconv.export(segmenter, "onnx", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
