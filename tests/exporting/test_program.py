"""``--to torch``: a program that PyTorch alone runs, without a pickle, of any size of image."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fullconv
from fullconv.cli.main import run
from fullconv.errors import GateError
from fullconv.exporting import export as export_module
from fullconv.exporting import program as program_module
from tests.builders.commands import complaint
from tests.builders.consumers import patches, run_script
from tests.builders.exporting import no_cost
from tests.builders.exports import tiny

CONSUMER = """
import sys
import numpy as np
import torch
def watch(event, arguments):
    if event == "pickle.find_class":
        raise SystemExit(f"a pickle named {arguments}")
def refuse(*_, **__):
    raise SystemExit("a pickle was read")
sys.addaudithook(watch)
torch.load = refuse
model = torch.export.load(sys.argv[1]).module()
assert not any(name.split(".")[0] in ("fullconv", "timm") for name in sys.modules)
images = np.load(sys.argv[2])
found = {name: model(torch.from_numpy(images[name][None])) for name in images}
np.savez(sys.argv[3], **{f"{name}/{key}": value.detach() for name in found for key, value in found[name].items()})
"""


@pytest.mark.parametrize(("offset", "resize"), [(None, None), (Fraction(1, 3), (48, 75))])
def test_pytorch_alone_gives_the_labels_of_predict(
    offset: Fraction | None, resize: tuple[int, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_cost(monkeypatch)
    model, out = tiny(offset=offset, resize=resize), tmp_path / "m.pt2"
    report = fullconv.export(model, "torch", out, probabilities=True)
    assert len(report.compared) == 1
    images = {f"{height}x{width}": patches(height, width) for height, width in ((1, 1), (33, 65), (200, 131))}
    np.savez(tmp_path / "in.npz", **images)
    names = [str(tmp_path / name) for name in ("in.npz", "out.npz")]
    run_script(sys.executable, CONSUMER, out, *names)
    found = np.load(tmp_path / "out.npz")
    for name, image in images.items():
        expected = model.predict(image, probabilities=True)
        assert np.array_equal(found[f"{name}/labels"][0], expected.labels), name
        np.testing.assert_allclose(found[f"{name}/probabilities"][0], expected.probabilities, atol=2e-3)
    assert sorted(key.split("/")[1] for key in found if key.startswith("1x1")) == ["labels", "logits", "probabilities"]


def test_a_program_says_what_it_is_and_is_no_model_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_cost(monkeypatch)
    out = tmp_path / "m.pt2"
    fullconv.export(tiny(), "torch", out)
    with zipfile.ZipFile(out) as archive:
        said = {name.rsplit("/", 1)[1]: archive.read(name) for name in archive.namelist() if "/extra/" in name}
        assert not any(archive.read(name).startswith(pickle.PROTO) for name in archive.namelist())
    assert json.loads(said["class_names"]) == list("abcdef")
    assert json.loads(said["fullconv"])["model"]["name"] == "fcn32s"
    assert run(["info", str(out)]) == 2
    assert "a program for torch.export.load" in complaint(capsys)


def test_a_broken_program_fails_the_gate_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = program_module.Program.enlarged
    monkeypatch.setattr(program_module.Program, "enlarged", lambda self, *rest: right(self, *rest).flip(rest[1]))
    monkeypatch.setattr(export_module, "load", lambda *_: tiny())
    assert run(["export", __file__, "--to", "torch", "--out", str(tmp_path / "m.pt2")]) == GateError.exit_code
    assert "worst in a generated image of" in complaint(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["torch", "onnx"])
def test_a_network_that_cannot_be_traced(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny()
    forward = model.network.forward
    model.network.forward = lambda pixels: forward(pixels) if bool(pixels.sum() > 0) else forward(-pixels)
    monkeypatch.setattr(export_module, "load", lambda *_: model)
    out = tmp_path / ("m.pt2" if target == "torch" else "m.onnx")
    assert run(["export", __file__, "--to", target, "--out", str(out)]) == 1
    (line,) = capfd.readouterr().err.strip().splitlines()
    other = "onnx" if target == "torch" else "torch"
    assert line.startswith("fullconv: PyTorch cannot write this network as ")
    assert f"; try --to {other}, or predict with the .safetensors file" in line
    assert list(tmp_path.iterdir()) == []
