from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import fullconv
from fullconv import CRF, Views
from fullconv.cli.main import run
from fullconv.data import Shapes
from fullconv.errors import DataError
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.formats.open import open_dataset, shapes_dataset
from fullconv.ops import upsample
from fullconv.segmenter import Segmenter
from fullconv.spec import Preprocessing
from tests.builders.models import make

DATA = shapes_dataset(Shapes(height=40, width=56, train=4, val=5))


def shapes_segmenter(**options) -> Segmenter:
    torch.manual_seed(1)
    built = fullconv.build_model("fcn8s", 5, "resnet18")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    return Segmenter(built, DATA.classes, Preprocessing(**options)).to("cpu", "fp32")


@pytest.mark.parametrize("workers", [0, 1])
def test_scores_are_those_of_predictions_at_full_resolution(workers: int) -> None:
    segmenter = shapes_segmenter()
    scores = fullconv.evaluate(segmenter, DATA, workers=workers)
    truths, guesses, losses = [], [], []
    for item in DATA.split("val"):
        image, labels = item.image.shapes.draw(item.image.index)
        truths.append(labels)
        guesses.append(segmenter.predict(image).labels)
        with torch.no_grad():
            logits, window = segmenter.runner.coarse_logits(torch.from_numpy(image).permute(2, 0, 1)[None])
        full = upsample(logits, labels.shape, window)
        losses.append(float(F.cross_entropy(full, torch.from_numpy(labels).long()[None])))
    truth, guess = np.stack(truths), np.stack(guesses)
    expected = [((truth == k) & (guess == k)).sum() / max(((truth == k) | (guess == k)).sum(), 1) for k in range(5)]
    assert np.nan_to_num(scores.iou).tolist() == pytest.approx(expected)
    assert scores.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert scores.images == 5


def test_a_resizing_model_is_scored_at_the_images_own_size() -> None:
    scores = fullconv.evaluate(shapes_segmenter(resize=(64, 64)), DATA, workers=0)
    assert sum(scores.pixels) == 5 * 40 * 56


def test_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 5 classes .* the model knows 3"):
        fullconv.evaluate(make(), DATA)
    with pytest.raises(DataError, match="has no split 'test'; there are train, val"):
        fullconv.evaluate(shapes_segmenter(), DATA, "test")


def test_data_that_names_no_classes_takes_the_model_s(make_folder) -> None:
    root = make_folder(4)
    assert open_dataset(root).classes != DATA.classes
    scores = fullconv.evaluate(shapes_segmenter(), root, workers=0)
    assert scores.classes == DATA.classes
    (line,) = [note for note in scores.notes if "by position" in note]
    assert "0 is background, 1 is disc, 2 is square" in line
    assert str(root / "classes.txt") in line
    (root / "classes.txt").write_text("\n".join(DATA.classes.names))
    named = fullconv.evaluate(shapes_segmenter(), root, workers=0)
    assert not [note for note in named.notes if "by position" in note]


def test_pictures_have_the_colours_of_predictions() -> None:
    segmenter = shapes_segmenter()
    own = tuple((shade, 255 - shade, 7) for shade in (9, 50, 90, 130, 170))
    segmenter.classes = dataclasses.replace(DATA.classes, palette=own)
    assert fullconv.evaluate(segmenter, DATA, workers=0).classes.palette == own != DATA.classes.palette


def test_absent_classes_are_named(tmp_path: Path) -> None:
    segmenter = shapes_segmenter()
    segmenter.network.score["8"].bias.data[0] = 1e4  # always background
    only = shapes_dataset(Shapes(height=8, width=8, train=1, val=1))
    scores = fullconv.evaluate(segmenter, only, workers=0)
    present = set(np.unique(only.splits["val"][0].image.shapes.draw(1)[1])) | {0}
    assert set(scores.absent) == {name for k, name in enumerate(DATA.classes.names) if k not in present}


def test_a_crf_refines_what_is_scored_and_what_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segmenter = shapes_segmenter()
    scores = fullconv.evaluate(segmenter, DATA, crf=CRF(iterations=3), workers=0)
    matches = []
    for item in DATA.split("val"):
        image, labels = item.image.shapes.draw(item.image.index)
        refined = segmenter.predict(image, crf=CRF(iterations=3), probabilities=True)
        assert refined.probabilities.shape == (5, *labels.shape)
        assert (refined.labels != segmenter.predict(image).labels).any()
        matches.append(refined.labels == labels)
    assert scores.pixel_accuracy == pytest.approx(np.mean(matches))
    plain = fullconv.evaluate(segmenter, DATA, workers=0)
    assert scores.loss == pytest.approx(plain.loss)
    assert scores.pixel_accuracy != plain.pixel_accuracy
    segmenter.save(tmp_path / "m.safetensors")
    Image.fromarray(DATA.splits["val"][0].image.shapes.draw(0)[0]).save(tmp_path / "a.png")
    model = str(tmp_path / "m.safetensors")
    assert run(["predict", model, str(tmp_path / "a.png"), "--out", str(tmp_path / "plain")]) == 0
    assert run(["predict", model, str(tmp_path / "a.png"), "--crf", "--out", str(tmp_path / "crf")]) == 0
    command = [
        "evaluate",
        model,
        "shapes:height=40,width=56,train=4,val=2",
        "--workers",
        "0",
        "--json",
        str(tmp_path / "s.json"),
    ]
    assert run([*command, "--crf-with", "iterations=1"]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["crf"]["iterations"] == 1
    assert "CRF(appearance=4.0" in capsys.readouterr().out
    assert (tmp_path / "plain" / "a.png").read_bytes() != (tmp_path / "crf" / "a.png").read_bytes()


def test_views_are_scored_and_their_loss_is_that_of_the_mean() -> None:
    segmenter, views = shapes_segmenter(), Views((0.5, 1), True)
    scores = fullconv.evaluate(segmenter, DATA, views=views, workers=0)
    matrix, loss, pixels = ConfusionMatrix(scores.classes), 0.0, 0
    for item in DATA.split("val"):
        image, labels = item.image.shapes.draw(item.image.index)
        found = segmenter.with_views(views).predict(image, probabilities=True)
        matrix.update(torch.from_numpy(found.labels), torch.from_numpy(labels))
        likely = np.take_along_axis(found.probabilities.astype(float), labels[None].astype(int), 0)
        loss, pixels = loss - np.log(likely).sum(), pixels + likely.size
    assert np.array_equal(scores.confusion, matrix.counts)
    assert scores.loss == pytest.approx(loss / pixels, rel=2e-3)  # float16 probabilities
    assert scores.mean_iou != fullconv.evaluate(segmenter, DATA, workers=0).mean_iou


def test_the_command_line_takes_scales_and_flip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes_segmenter().save(tmp_path / "m.safetensors")
    out, data = tmp_path / "scores.json", "shapes:height=40,width=56,train=4,val=5"
    command = ["evaluate", str(tmp_path / "m.safetensors"), data, "--json", str(out), "--precision", "fp32"]
    assert run([*command, "--scales", "0.5", "1", "--flip"]) == 0
    assert "the mean of scales 0.5, 1, each also mirrored" in capsys.readouterr().out
    kept = json.loads(out.read_text())
    assert kept["views"] == {"scales": [0.5, 1.0], "flip": True}
    assert kept["mean_iou"] == fullconv.evaluate(shapes_segmenter(), DATA, views=Views((0.5, 1), True)).mean_iou
    assert run([*command, "--scales", "7"]) == 2
    assert "scales must be numbers from 0.1 to 4.0, found 7.0" in capsys.readouterr().err
