"""R-CNN and SDS as a user meets them: trained, saved, loaded, and used by every verb."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import fullconv
from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.errors import ModelFileError, UsageError
from fullconv.model_file import read_header
from fullconv.regions import RegionSegmenter
from fullconv.regions.paste import LEFT_OUT
from fullconv.training.sweep import sweep
from tests.builders.commands import complaint

DATA = "shapes:height=48,width=64,train=8,val=3"
OPTIONS = ["--encoder", "mobilenetv2_100", "--model-args.limit", "200", "--model-args.warp", "32", "--workers", "0"]


@pytest.fixture(scope="module")
def sds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sds") / "run"
    command = ["train", DATA, "--out", str(out), "--model", "sds", "--model-args.refine", "grid", *OPTIONS]
    assert run(command) == 0
    return out


def test_a_run_leaves_model_scores_and_pictures(sds: Path) -> None:
    names = {str(path.relative_to(sds)) for path in sds.rglob("*") if path.is_file()}
    assert names >= {"best.safetensors", "config.yaml", "environment.json", "scores.json", "pictures/val.png"}
    scores = json.loads((sds / "scores.json").read_text())
    assert scores["images"] == 3
    assert scores["mean_iou"] > 0.2  # random encoder, eight images: all background would be 0.14
    header = read_header(sds)
    assert header["model"]["name"] == "sds"
    assert header["model"]["model_args"]["refine"] == "grid"
    assert header["provenance"]["train_images"] == 8


@pytest.mark.parametrize(("place", "kept"), [("begin", False), ("write_picture", True)])
def test_ctrl_c_keeps_the_model_once_it_is_saved(place: str, kept: bool, tmp_path: Path, monkeypatch, capsys) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"fullconv.training.region_run.RunFolder.{place}", interrupted)
    command = ["train", DATA, "--model", "sds", "--encoder", "resnet10t", "--out", str(tmp_path / "run")]
    assert run([*command, "--encoder-weights", "none"]) == 130
    model = tmp_path / "run" / "best.safetensors"
    assert model.is_file() == kept
    assert ("interrupted after training; the model is" if kept else "nothing is trained or kept yet") in complaint(
        capsys
    )


def test_the_file_gives_the_same_labels_and_the_verbs_take_it(sds: Path, tmp_path: Path, capsys) -> None:
    segmenter = fullconv.load(sds, "cpu", "fp32")
    assert isinstance(segmenter, RegionSegmenter)
    spec = fullconv.open_dataset(DATA)
    image = read_sample(spec, spec.split("val")[0]).image
    labels = segmenter.predict(image).labels
    segmenter.save(tmp_path / "again.safetensors")
    again = fullconv.load(tmp_path / "again.safetensors", "cpu", "fp32")
    assert np.array_equal(again.predict(image).labels, labels)
    Image.fromarray(image).save(tmp_path / "one.png")
    assert run(["predict", str(sds), str(tmp_path / "one.png"), "--out", str(tmp_path / "m"), "--overlay",
                "--precision", "fp32"]) == 0  # fmt: skip
    with Image.open(tmp_path / "m" / "one.png") as mask:
        assert np.array_equal(np.asarray(mask), labels)
    assert (tmp_path / "m" / "one.overlay.png").is_file()
    assert run(["evaluate", str(sds), DATA, "--workers", "0", "--json", str(tmp_path / "s.json")]) == 0
    trained = json.loads((sds / "scores.json").read_text())
    assert json.loads((tmp_path / "s.json").read_text())["mean_iou"] == pytest.approx(trained["mean_iou"])
    capsys.readouterr()
    assert run(["info", str(sds)]) == 0
    said = capsys.readouterr().out
    assert "sds on mobilenetv2_100" in said
    assert "selective-search regions" in said


def test_scores_of_pixels_are_those_of_the_regions_on_top(sds: Path) -> None:
    """Pasted one by one, of the stored SVMs' scores: without refinement, a loop over regions."""
    segmenter = RegionSegmenter.load(sds, "cpu", "fp32")
    runner = segmenter.runner
    runner.parts.refiner = None
    spec = fullconv.open_dataset(DATA)
    image = torch.from_numpy(read_sample(spec, spec.split("val")[1]).image).permute(2, 0, 1)
    scored = runner.scored(image)
    parts = runner.parts
    assert np.allclose(scored.scores, scored.features @ parts.svm_weight.numpy().T + parts.svm_bias.numpy(), atol=1e-4)
    canvas, height = np.zeros(image.shape[1:], int), np.zeros(image.shape[1:])
    for index, label in zip(*np.nonzero(scored.kept), strict=True):
        mask = scored.proposals.mask(index) & (scored.scores[index, label] > height)
        canvas[mask], height[mask] = label, scored.scores[index, label]
    logits, window = runner.coarse_logits(image[None])
    assert tuple(window) == (0, 0, *image.shape[1:])
    assert np.array_equal(logits[0].argmax(0).numpy(), canvas)
    assert logits[0, 1:].max(0).values[torch.from_numpy(canvas == 0)].max() <= LEFT_OUT


def test_hypercolumns_as_pixel_classifier(tmp_path: Path) -> None:
    """A network's probabilities decide on the pieces; it lies in the same file, its encoder once."""
    network = [
        "train",
        DATA,
        "--model",
        "hypercolumn",
        "--encoder",
        "mobilenetv2_100",
        "--epochs",
        "1",
        "--workers",
        "0",
    ]
    assert run([*network, "--out", str(tmp_path / "h")]) == 0
    refined = [*OPTIONS, "--model-args.refine", "pixels", "--init-from", str(tmp_path / "h")]
    assert run(["train", DATA, "--model", "sds", *refined, "--out", str(tmp_path / "run")]) == 0
    segmenter, before = (fullconv.load(tmp_path / name, "cpu", "fp32") for name in ("run", "h"))
    spec = fullconv.open_dataset(DATA)
    image = read_sample(spec, spec.split("val")[0]).image
    seen = segmenter.runner.see(torch.from_numpy(image).permute(2, 0, 1))
    assert np.allclose(seen, before.predict(image, probabilities=True).probabilities, atol=2e-3)
    refiner = segmenter.runner.parts.refiner
    region = segmenter.runner.proposals(torch.from_numpy(image).permute(2, 0, 1)).only([0])
    [(means, near)] = refiner.means(region, np.zeros((1, 1)), 1, np.ones_like(seen))
    assert ((means > 0) == near).all()
    assert means.max() <= 1
    segmenter.save(tmp_path / "again.safetensors")
    again = fullconv.load(tmp_path / "again.safetensors", "cpu", "fp32")
    assert np.array_equal(again.predict(image).labels, segmenter.predict(image).labels)
    names = set(load_file(tmp_path / "again.safetensors"))
    assert not any(name.startswith("refiner.network.encoder") for name in names)
    assert any(name.startswith("refiner.network.classify") for name in names)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 30)])
def test_blank_images_are_labelled(sds: Path, size: tuple[int, int]) -> None:
    labels = fullconv.load(sds, "cpu").predict(np.full((*size, 3), 77, np.uint8)).labels
    assert labels.shape == size


def test_rcnn_on_pooled_features_without_a_background(tmp_path: Path, capsys) -> None:
    """Every pixel gets a class, classes that train does not show are named, grey images are read."""
    folder = tmp_path / "data"
    for split, count in (("train", 3), ("val", 1)):
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True)
        for index in range(count):
            labels = np.zeros((30, 40), np.uint8)
            labels[8:22, 5 + 7 * index : 20 + 7 * index] = 1
            shown = np.random.default_rng(index).normal(np.where(labels, 200, 60), 5).clip(0, 255).astype(np.uint8)
            Image.fromarray(shown).save(folder / split / "images" / f"{split}{index}.png")
            Image.fromarray(labels).save(folder / split / "masks" / f"{split}{index}.png")
    (folder / "dataset.yaml").write_text("classes: [road, car, tree]\n")
    out = tmp_path / "run"
    command = ["train", str(folder), "--out", str(out), "--model", "rcnn", "--model-args.features", "pooled"]
    assert run([*command, "--encoder", "mobilenetv2_100", "--workers", "0", "--model-args.limit", "100",
                "--model-args.proposals", "felzenszwalb"]) == 0  # fmt: skip
    assert "no training image shows tree" in capsys.readouterr().out
    labels = fullconv.load(out, "cpu").predict(folder / "val" / "images" / "val0.png").labels
    assert set(np.unique(labels)) <= {0, 1}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([DATA, "--model", "rcnn", "--epochs", "3"], 2, "trains SVMs, in one pass and no steps; leave --epochs out"),
        ([DATA, "--model", "rcnn", "--epochs", "3", "--ema", "0.9"], 2, "leave --ema, --epochs out"),
        ([DATA, "--model", "rcnn", "--labels", "boxes"], 2, "learns from masks, found --labels boxes"),
        ([DATA, "--model", "sds", "--model-args.wrap", "32"], 2, "did you mean warp"),
        ([DATA, "--model", "sds", "--model-args.warp", "8"], 2, "warp must lie from 32 to 512, found 8"),
        ([DATA, "--model", "sds", "--model-args.refine", "pixels"], 2, "needs a trained hypercolumn network"),
        ([DATA + ",bands=4", "--model", "sds"], 2, "one or three channels, found 4 bands"),
        ([DATA + ",objects=0", "--model", "sds"], 3, "no training image shows an object"),
    ],
)
def test_what_cannot_be(arguments: list[str], code: int, message: str, tmp_path: Path, capsys) -> None:
    command = ["train", *arguments, "--out", str(tmp_path / "run"), "--no-check"]
    encoder = ["--encoder", "mobilenetv2_100", "--workers", "0"]
    assert run([*command, *encoder]) == code
    assert message in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_said_before_training(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    assert run(["train", DATA, "--out", str(tmp_path / "run"), "--model", "rcnn", *OPTIONS]) == 2
    assert "scikit-learn" in (said := complaint(capsys))
    assert "pip install 'fullconv[regions]'" in said


def test_what_a_region_model_is_not(sds: Path, tmp_path: Path) -> None:
    segmenter = fullconv.load(sds, "cpu")
    with pytest.raises(UsageError, match="cannot be exported"):
        fullconv.export(segmenter, "onnx", tmp_path / "x.onnx")
    with pytest.raises(UsageError, match="computed by PyTorch"):
        fullconv.load(sds, runner="onnxruntime")
    with pytest.raises(ModelFileError, match=r"fullconv\.load"):
        fullconv.Segmenter.load(sds)
    with pytest.raises(UsageError, match="sds has none of"):
        sweep(DATA, "seed=0,1", tmp_path / "sweep", model="sds")
    with pytest.raises(UsageError, match="no training starts from one"):
        fullconv.train(DATA, tmp_path / "run", init_from=str(sds), encoder="mobilenetv2_100", quiet=True)


def test_pseudo_labels_say_that_scores_are_margins(sds: Path, tmp_path: Path) -> None:
    said = "its scores are margins of SVMs, no probabilities: the confidence is that of their softmax"
    data = DATA.replace("train=8", "train=2").replace("val=3", "val=1")
    assert said in fullconv.pseudo_label(sds, data, tmp_path / "a", labels="boxes").notes
    assert said not in fullconv.pseudo_label(sds, data, tmp_path / "b", labels="boxes", confidence=0).notes
