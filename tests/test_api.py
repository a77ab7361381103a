"""The Python functions beside the command line: the same names, the same arguments, the same results."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fullconv
from fullconv.cli.command import app, run
from fullconv.errors import UsageError
from fullconv.evaluation.finding import Finding
from fullconv.evaluation.metrics import ConfusionMatrix, ImageScore
from fullconv.prediction.settings import Settings
from fullconv.training.run_folder import RunFolder
from tests.builders.folders import Make
from tests.builders.models import make

FUNCTIONS = {
    "check": fullconv.check, "compare": fullconv.compare,
    "convert": fullconv.convert, "cvat-function": fullconv.cvat_function, "demo": fullconv.demo,
    "evaluate": fullconv.evaluate,
    "export": fullconv.export,
    "heatmap": fullconv.heatmap, "import": fullconv.import_model, "info": fullconv.info,
    "models": fullconv.known_weights, "predict": fullconv.predict,
    "pseudo-label": fullconv.pseudo_label, "recipes": fullconv.recipes, "review": fullconv.review,
    "serve": fullconv.serve, "sweep": fullconv.sweep, "synsets": fullconv.synsets, "train": fullconv.train,
}  # fmt: skip
FOR_THE_SHELL = {
    "config": "options",  # one flag per field of TrainConfig
    "crf_with": "crf",  # a CRF object
    "scales": "views", "flip": "views",  # a Views object
    "encoder": "options", "encoder_weights": "options", "head_weights": "options", "device": "options",
    "precision": "options",  # of heatmap: for HeatMapper.load
}  # fmt: skip
PRINTED = {("compare", "json"), ("evaluate", "json"), ("models", "pattern")}
"""What the verb does with the function's result, or gives it by place."""


def test_every_verb_is_a_function_with_the_same_arguments() -> None:
    verbs = {name for name in app if not name.startswith("-")}
    assert verbs == set(FUNCTIONS)
    for verb, function in FUNCTIONS.items():
        takes = set(inspect.signature(function).parameters)
        if function is fullconv.predict:
            takes |= {field.name for field in dataclasses.fields(Settings)}
        if function is fullconv.compare:
            takes |= set(inspect.signature(fullconv.evaluate).parameters)
        for parameter in inspect.signature(app[verb].default_command).parameters:
            other = FOR_THE_SHELL.get(parameter, parameter)
            assert {parameter, other} & takes or (verb, parameter) in PRINTED, (verb, parameter)


def test_all_names_are_there_and_in_order() -> None:
    for name in fullconv.__all__:
        assert getattr(fullconv, name).__doc__
    assert dir(fullconv) == sorted(fullconv.__all__)


def test_check_of_a_folder_writes_what_the_command_writes(
    make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    (root / "masks" / "lonely.png").write_bytes((root / "masks").glob("*.png").__next__().read_bytes())
    report = fullconv.check(root, json=tmp_path / "a.json", html=tmp_path / "a.html", fix=tmp_path / "fixed")
    assert run(["check", str(root), "--json", str(tmp_path / "b.json"), "--html", str(tmp_path / "b.html")]) == 0
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text()
    assert report.fixed
    assert report.fixed[0].startswith(str(tmp_path / "fixed"))
    assert repr(report).startswith(f"CheckReport(photos: 6 images, 0 problems, {len(report.notes)} notes)\n  note: ")
    again = fullconv.check(tmp_path / "fixed")
    assert again.images == report.images
    capsys.readouterr()


def test_predict_evaluate_info_by_name_and_by_object(
    make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    trained = fullconv.train(
        root, tmp_path / "run", model="fcn32s", encoder="resnet10t", epochs=1, crop=(32, 32), workers=0, quiet=True
    )
    said = fullconv.info(trained.best)
    assert said["model"]["encoder"] == "resnet10t"
    assert said["file"] == str(trained.best)
    segmenter = fullconv.load(trained.best, "cpu", "fp32")
    assert repr(segmenter).startswith("Segmenter\n  network: fcn32s on resnet10t, ")
    by_name = fullconv.predict(trained.best, root / "images", tmp_path / "a", device="cpu", precision="fp32")
    by_object = fullconv.predict(segmenter, sorted((root / "images").iterdir()), tmp_path / "b")
    assert [path.name for path in by_name.written] == [path.name for path in by_object.written]
    for first, second in zip(by_name.written, by_object.written, strict=True):
        assert first.read_bytes() == second.read_bytes()
    with pytest.raises(UsageError, match="no images given"):
        fullconv.predict(segmenter, [], tmp_path / "c")
    scores = fullconv.evaluate(trained.best, root, device="cpu", precision="fp32", workers=0)
    command = ["evaluate", str(trained.best), str(root), "--device", "cpu", "--precision", "fp32", "--workers", "0"]
    assert run([*command, "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["mean_iou"] == pytest.approx(scores.mean_iou)
    assert repr(scores).startswith("Scores(mean IoU 0.")
    capsys.readouterr()


def test_a_prediction_shows_itself(tmp_path: Path) -> None:
    classes = fullconv.ClassSet(("ground", "road"))
    labels = np.array([[0, 0, 0, 1]], np.uint8)
    prediction = fullconv.Prediction(labels, None, classes, np.zeros((1, 4, 3), np.uint8))
    assert repr(prediction) == "Prediction(1x4: ground 75.0%, road 25.0%)"
    (tmp_path / "shown.png").write_bytes(prediction._repr_png_())
    with Image.open(tmp_path / "shown.png") as picture:
        assert np.array_equal(np.asarray(picture), prediction.overlay())


def test_scores_show_themselves() -> None:
    matrix = ConfusionMatrix(fullconv.ClassSet(("ground", "<road>", "pole", "ghost"), ((1, 2, 3),) * 4))
    matrix.counts = torch.tensor([[70, 0, 0, 0], [10, 10, 0, 0], [10, 0, 0, 0], [0, 0, 0, 0]])
    finding = Finding("rare", ("pole",), "pole is rare", "more of it")
    scores = matrix.scores(images=4, worst=(ImageScore("a", "a.png", 0.25),), findings=(finding,) * 5, notes=("a < b",))
    assert repr(scores).splitlines() == [
        "Scores(mean IoU 0.4259, pixel accuracy 0.8000, 4 classes, 4 images)",
        "  lowest IoU: pole 0.0000, <road> 0.5000, ground 0.7778",
        "  absent: ghost",
        "  worst image: a 0.2500",
        *["  pole is rare"] * 3,
        "  and 2 findings more",
    ]
    html = scores._repr_html_()
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in html.split("<tbody>")[1].split("</tr>")]
    assert [re.sub(r"<span.*?</span>", "", cell) for cell in rows[1]] == [
        "&lt;road&gt;", "1", "0.5000", "1.0000", "0.5000", "0.6667", "20",
    ]  # fmt: skip
    assert rows[3][2:] == ["-", "-", "-", "-", "0"]
    assert html.count("rgb(1, 2, 3)") == 4
    assert "a &lt; b" in html
    assert "pole is rare. pole is rare. Try: more of it." in html
    assert scores.confusion_picture().ndim == 3


def test_models_and_runs_show_themselves(tmp_path: Path) -> None:
    segmenter = make()
    segmenter.provenance = {"data": "a & b", "train_images": 5, "epoch": 2, "scores": {"mean_iou": 0.5}}
    assert repr(segmenter).splitlines() == [
        "Segmenter", "  network: fcn8s on resnet18, 11.2 M parameters", "  classes: 3: ground, disc, ring",
        "  input: 3 channels of 8 bits, any size", "  computed by: fp32 on cpu",
        "  trained: on a & b (5 images), epoch 2: val mean IoU 0.5000",
    ]  # fmt: skip
    html = segmenter._repr_html_()
    assert "on a &amp; b (5 images)" in html
    assert [f"rgb{colour}" in html for colour in segmenter.classes.palette] == [True] * 3
    run = fullconv.Run(tmp_path / "run")
    assert repr(run) == f"Run({str(run.path)!r})\n  state: there is no run (no config.yaml that can be read)"
    writing = RunFolder(run.path)
    writing.begin(fullconv.TrainConfig(epochs=3), {})
    assert repr(run).splitlines()[1:] == ["  network: fcn8s on resnet34", "  epochs: 0 of 3 done"]
    writing.write_log([{"epoch": 1, "mean_iou": 0.25}, {"epoch": 2, "mean_iou": 0.5}])
    writing.write_scores({"mean_iou": 0.5, "epoch": 2})
    segmenter.save(run.best)
    assert repr(run).splitlines()[2:] == [
        "  epochs: 2 of 3 done", "  best: val mean IoU 0.5000 at epoch 2", f"  model: {run.best}",
    ]  # fmt: skip
    assert "<img" not in run._repr_html_()
    writing.write_picture("curves.png", np.zeros((4, 5, 3), np.uint8))
    uri = re.search(r'src="data:image/png;base64,([^"]+)"', run._repr_html_())
    assert base64.b64decode(uri[1]) == (run.path / "curves.png").read_bytes()


def test_a_run_shows_what_its_reader_wants() -> None:
    shown = {name for name in dir(fullconv.Run) if not name.startswith("_")}
    assert shown == {"best", "last", "config", "environment", "state", "scores", "segmenter"}


def test_the_module_is_the_command() -> None:
    found = subprocess.run([sys.executable, "-m", "fullconv", "--help"], capture_output=True, text=True, check=True)
    assert "predict" in found.stdout
