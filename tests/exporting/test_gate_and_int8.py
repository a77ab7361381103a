"""The gate that every export has to pass, and int8."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from openvino.passes import ConstantFolding, Manager
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.errors import GateError, UsageError
from fullconv.exported import build as build_module
from fullconv.exported.geometry import Places
from fullconv.exporting import artefact
from fullconv.exporting import export as export_module
from fullconv.exporting.artefact import graph_of
from fullconv.exporting.quantise import quantised
from fullconv.segmenter import Segmenter
from tests.builders.commands import complaint
from tests.builders.exporting import no_cost
from tests.builders.exports import Tiny, outlier, tiny
from tests.builders.models import make


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_broken_export_fails_the_gate_and_leaves_nothing(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = build_module.to_outputs

    def one_pixel_off(graph: Any, places: Places, *rest: Any) -> None:
        right(graph, dataclasses.replace(places, start=places.start + Fraction(1)), *rest)

    monkeypatch.setattr(build_module, "to_outputs", one_pixel_off)
    monkeypatch.setattr(export_module, "load", lambda *_: tiny())
    out = tmp_path / ("m.onnx" if target == "onnx" else "m.xml")
    assert run(["export", __file__, "--to", target, "--out", str(out)]) == GateError.exit_code == 4
    line = complaint(capsys)
    assert "worst in a generated image of" in line
    assert "nothing was written" in line
    assert list(tmp_path.iterdir()) == []


def labelled_by(model: Segmenter, folder: Path) -> Path:
    """A data set whose truth is what a model says: its mean IoU is 1."""
    random = np.random.default_rng(4)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(6):
        pixels = 255 * random.integers(0, 2, (6, 9, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        model.predict(pixels).save(folder / "masks" / f"{index}.png")
    (folder / "train.txt").write_text("0\n1\n2\n3\n")
    (folder / "val.txt").write_text("4\n5\n")
    (folder / "dataset.yaml").write_text(f"classes: [{', '.join(model.classes.names)}]\n")
    return folder


def test_int8_says_so_and_keeps_the_mean_iou(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cost(monkeypatch)
    model = tiny(stride=1)
    data = labelled_by(model, tmp_path / "data")
    told: list[tuple[str, int, int | None]] = []
    report = fullconv.export(
        model, "openvino", tmp_path / "m.xml", int8=True, calibrate=data, progress=lambda *at: told.append(at)
    )
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [
        "reading the model", "tracing the network", "reading to calibrate", "quantising by 4 images", "gate, openvino",
        "mean IoU, PyTorch", "mean IoU, openvino", "time and memory, PyTorch", "time and memory, openvino",
    ]  # fmt: skip
    assert [done for stage, *done in told if stage.startswith("gate")] == [
        *([done, 5] for done in range(6)), *([done, 2] for done in range(3)),
    ]  # fmt: skip
    assert ("mean IoU, openvino", 2, 2) in told
    loaded = fullconv.load(tmp_path / "m.xml")
    assert loaded.precision == "int8"
    assert str(loaded.runner).endswith("int8 on cpu")
    assert "FakeQuantize" in (tmp_path / "m.xml").read_text()
    before, after = report.mean_iou.values()
    assert before == 1
    assert before - after <= 0.003
    assert fullconv.evaluate(loaded, data, workers=0).mean_iou == after


def test_a_network_that_quantises_badly_fails_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One map is a million times larger than the one that decides, and counts for nothing."""
    model = tiny()
    network = model.network
    assert isinstance(network, Tiny)
    network.score = outlier(len(model.classes))
    monkeypatch.setattr(export_module, "load", lambda *_: model)
    data = labelled_by(model, tmp_path / "data")
    out = tmp_path / "out" / "m.xml"
    assert run(["export", __file__, "--to", "openvino", "--out", str(out), "--int8", "--calibrate", str(data)]) == 4
    line = complaint(capsys)
    assert "int8 takes the mean IoU from 1.0000 to 0." in line
    assert "worst image" in line
    assert list(out.parent.iterdir()) == []


def test_an_onnx_file_is_kept_from_a_runner_that_computes_it_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_cost(monkeypatch)
    judge = artefact.pass_gate

    def but_openvino(segmenter: Segmenter, runner: Any, images: Any) -> Any:
        if "openvino" in str(runner):
            raise GateError("other labels")
        return judge(segmenter, runner, images)

    monkeypatch.setattr(artefact, "pass_gate", but_openvino)
    report = fullconv.export(tiny(), "onnx", tmp_path / "m.onnx")
    assert report.refused == {"openvino": "other labels"}
    assert "will not be computed by openvino: other labels" in "\n".join(report.lines())
    assert str(fullconv.load(tmp_path / "m.onnx").runner).startswith("onnxruntime")
    with pytest.raises(UsageError, match="runner openvino computes other labels of this file"):
        fullconv.load(tmp_path / "m.onnx", runner="openvino")


def test_int8_of_the_smallest_images() -> None:
    """In a process of its own: OpenVINO crashed on maps of one place."""
    code = """
import numpy as np, openvino
from fullconv.exporting.artefact import graph_of
from fullconv.exporting.quantise import quantised
from tests.builders.models import make
random = np.random.default_rng(0)
images = [random.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(3)]
model = make(encoder="mobilenetv2_050")
whole = quantised(graph_of(model, True, ""), images)
part = openvino.compile_model(openvino.Model([whole.output("labels")], whole.get_parameters()), "CPU")
for size in ((1, 1), (9, 1), (32, 32), (33, 20)):
    found = part([random.integers(0, 256, (1, *size, 3), dtype=np.uint8)])[0]
    assert found.shape == (1, *size), found.shape
print("all")
"""
    pytest.importorskip("nncf")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("all\n"), (done.returncode, done.stderr[-2000:])


def test_the_biases_of_int8_are_corrected() -> None:
    """NNCF passes over convolutions behind which it sees no constant, without a word: so it did with all of ours."""
    pytest.importorskip("nncf")
    model = make(encoder="test_resnet")
    torch.manual_seed(0)
    for layer in model.network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.bias, std=0.1)  # of zeros nothing is left in the file
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(3)]
    graph = graph_of(model, True, "")
    before = biases(openvino.Core().read_model(graph.SerializeToString()))
    after = biases(quantised(graph, images))
    assert len(after) >= 8
    changed = [a for a in after if not any(a.shape == b.shape and np.array_equal(a, b) for b in before)]
    assert len(changed) > len(after) / 2


def biases(model: Any) -> list[np.ndarray]:
    """What is added to the results of convolutions."""
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(model)
    found = []
    for op in model.get_ops():
        if op.get_type_name() == "Add":
            inputs = [op.input_value(place).get_node() for place in (0, 1)]
            if inputs[0].get_type_name().endswith("Convolution") and inputs[1].get_type_name() == "Constant":
                found.append(inputs[1].data.ravel())
    return found
