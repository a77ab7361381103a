from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import jaccard_score, recall_score

import fullconv
from fullconv.data.sample import read_sample
from fullconv.errors import UsageError
from fullconv.models import build_model
from fullconv.ops import upsample
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.first_weights import as_started
from fullconv.training.label_maps import LabelMaps
from fullconv.training.learner import Learner
from fullconv.training.objective import Validation
from fullconv.training.optimisation import rate_factor
from tests.builders.folders import Make
from tests.builders.runs import DATA, FEW_STEPS, FOUR_SCENES, SMALL
from tests.builders.weights import weights


def test_a_run_leaves_everything_behind(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "runs" / "run", **SMALL)
    with (run.path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert set(rows[0]) == {
        "epoch", "train_loss", "train_pixel_accuracy", "train_mean_accuracy", "train_mean_iou",
        "val_loss", "pixel_accuracy", "mean_accuracy", "mean_iou", "mean_iou_of_val", "fw_iou", "rate", "seconds",
        *(f"iou/{name}" for name in run.segmenter().classes.names),
    }  # fmt: skip
    factors = np.array([rate_factor(TrainConfig(), step, 12, 4) for step in range(12)]).reshape(3, 4)
    assert [float(row["rate"]) for row in rows] == pytest.approx(1e-3 * factors.mean(1), rel=1e-5)
    assert yaml.safe_load(run.config.read_text())["encoder"] == "resnet10t"
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert run.state.is_file()
    assert (tmp_path / "runs" / "latest").resolve() == run.path.resolve()
    assert any((run.path / "tensorboard").iterdir())
    for picture in ("curves.png", "pictures/epoch_001.png", "pictures/epoch_003.png"):
        with Image.open(run.path / picture) as image:
            assert image.width > 500
    best = max(rows, key=lambda row: float(row["mean_iou"]))
    assert run.scores["mean_iou"] == pytest.approx(float(best["mean_iou"]), rel=1e-5)
    # the best model is the one that was scored, and scores the same again
    again = fullconv.evaluate(run.segmenter(), DATA, workers=0)
    assert again.mean_iou == pytest.approx(run.scores["mean_iou"])
    leftovers = list(run.path.rglob(".*"))
    assert leftovers == []


def test_epochs_are_compared_over_the_classes_that_val_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = fullconv.open_dataset(DATA)
    classes = dataclasses.replace(spec.classes, names=(*spec.classes.names, "never"), palette=())
    run = fullconv.train(
        dataclasses.replace(spec, classes=classes), tmp_path / "run", **{**SMALL, "epochs": 2, "quiet": False}
    )
    with (run.path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    here = np.unique(np.concatenate([read_sample(spec, item).labels.ravel() for item in spec.split("val")]))
    absent = [name for i, name in enumerate(spec.classes.names) if i not in here]
    for row in rows:
        shown = [float(row[f"iou/{name}"]) for name in spec.classes.names if name not in absent]
        assert float(row["mean_iou_of_val"]) == pytest.approx(sum(shown) / len(shown), abs=1e-5)
    best = max(rows, key=lambda row: (float(row["mean_iou_of_val"]), -float(row["val_loss"])))
    assert run.scores["epoch"] == int(best["epoch"])
    said, missing = capsys.readouterr().out, ", ".join([*absent, "never"])
    assert said.count(missing) == 1
    assert f"val has no {missing})" in said or f"val does not show {missing}: the best epoch goes by" in said


def test_what_val_does_not_show_is_said_once() -> None:
    objective = LabelMaps(TrainConfig(), DATA, DATA.split("train"), DATA.split("val"), cast("Segmenter", None))
    objective.not_in_val = ["disc", "ring"]
    scores = {"epoch": 2, "mean_iou": 0.5, "classes": range(5)}
    first, *rest = objective.summary({**scores, "absent": ["disc", "ring"]}, Path("best"))
    assert first == "best: epoch 2, mean IoU 0.5000 (of 3 classes: val has no disc, ring): best"
    assert not rest
    lines = objective.summary({**scores, "absent": ["ring"]}, Path("best"))
    assert lines == [
        "best: epoch 2, mean IoU 0.5000 (of 4 classes): best",
        "  val does not show disc, ring: the best epoch goes by the others",
    ]


def test_what_train_does_not_show_is_known_to_the_model(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder(4)
    for i in range(3):
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "masks" / f"scene_{i}.png")
    Image.fromarray(np.full((48, 64), 2, np.uint8)).save(root / "masks" / "scene_3.png")
    (root / "train.txt").write_text("scene_0\nscene_1\nscene_2\n")
    (root / "val.txt").write_text("scene_3\n")
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "other", "chair"]}))
    run = fullconv.train(root, tmp_path / "run", **{**SMALL, "epochs": 1, "ema": 0.0, "rate": 1e-2})
    assert run.segmenter("cpu").provenance["not_in_train"] == ["other", "chair"]
    assert {"unlearned"} == {one["kind"] for one in run.scores["findings"] if "chair" in one["classes"]}


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 8, "ema": 0.0, "rate": 3e-3})
    with (run.path / "log.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.8 * losses[0]


def test_train_scores_are_those_of_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as the network saw it: against scikit-learn on logits enlarged by PyTorch."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    forward = Learner.forward

    def watch(self: Learner, step: int, batch: Any) -> Any:
        logits, loss = forward(self, step, batch)
        window = self.plan.segmenter.network.window(logits.shape[-2:], batch.pixels.shape[-2:])
        full = upsample(logits.detach().float(), batch.labels.shape[-2:], window)
        seen.append((batch.labels.numpy().copy(), full.argmax(1).numpy()))
        return logits, loss

    monkeypatch.setattr(Learner, "forward", watch)
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 2, "precision": "fp32"})
    with (run.path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, batches in zip(rows, (seen[:4], seen[4:]), strict=True):
        truth, guess = (np.concatenate([batch[i].ravel() for batch in batches]) for i in (0, 1))
        truth, guess = truth[truth != 255], guess[truth != 255]
        assert float(row["train_pixel_accuracy"]) == pytest.approx((truth == guess).mean(), abs=1e-5)
        present = sorted({*truth, *guess})
        iou = jaccard_score(truth, guess, labels=present, average=None)
        assert float(row["train_mean_iou"]) == pytest.approx(iou.mean(), abs=1e-5)
        recall = recall_score(truth, guess, labels=sorted({*truth}), average=None)
        assert float(row["train_mean_accuracy"]) == pytest.approx(recall.mean(), abs=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        "encoder='vgg16', encoder_args={'fc_channels': 8, 'dropout': 0.0}, model='fcn32s'",
        "encoder='resnet10t', model='fcn32s', sync_batch_norm=True",
    ],
)
def test_two_processes_see_the_batches_of_one(network: str, tmp_path: Path) -> None:
    """DDP on two CPU processes; without batch norm, or with its statistics shared, the steps are those of one process,
    whoever has ignored pixels.
    """
    script = tmp_path / "ddp.py"
    script.write_text(
        "import sys, fullconv\n"
        "from fullconv.data import Shapes\n"
        "from fullconv.formats.open import shapes_dataset\n"
        "if __name__ == '__main__':\n"
        "    data = shapes_dataset(Shapes(height=64, width=64, train=8, val=3))\n"
        f"    fullconv.train(data, sys.argv[1], {network},\n"
        "        epochs=2, batch_size=4, workers=0, scale=(0.5, 1), optimizer='sgd', rate=0.1, precision='fp32',\n"
        "        device='cpu', devices=sys.argv[2])\n"
    )
    for devices in ("1", "2"):
        command = [sys.executable, str(script), str(tmp_path / devices), devices]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        said = done.stdout
        assert "Warning" not in done.stderr
        assert ("batch 4 = 2 per device x 2, 2 steps an epoch" in said) == (devices == "2")
    one, two = (load_file(tmp_path / d / "last.safetensors") for d in ("1", "2"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)
    logs = [(tmp_path / d / "log.csv").read_text().splitlines()[-1].split(",") for d in ("1", "2")]
    assert [float(v) for v in logs[0][1:10]] == pytest.approx([float(v) for v in logs[1][1:10]], rel=1e-3)


@pytest.mark.parametrize("loss", ["focal", "ohem", "dice", "cross-entropy+dice", "nll"])
def test_every_loss_trains(loss: str, tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 3, "rate": 3e-3, "loss": loss})
    with (run.path / "log.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]


def test_a_summed_loss_is_the_mean_times_the_pixels(tmp_path: Path) -> None:
    """A step of one batch: the same weights from the sum at rate r as from the mean at rate r times the pixels."""
    pixels = 20 * 64 * 64
    options = {**SMALL, "epochs": 1, "batch_size": 20, "optimizer": "sgd", "momentum": 0.0, "schedule": "constant"}
    options |= {
        "ema": 0.0,
        "clip_norm": 0.0,
        "weight_decay": 0.0,
        "scale": (1, 1),
        "crop": (64, 64),
        "precision": "fp32",
    }
    a = fullconv.train(DATA, tmp_path / "sum", **{**options, "reduction": "sum", "rate": 1e-2 / pixels})
    b = fullconv.train(DATA, tmp_path / "mean", **{**options, "rate": 1e-2})
    start = fullconv.build_model("fcn16s", 5, "resnet10t").network.state_dict()
    changed = 0
    for name, value in weights(a).items():
        torch.testing.assert_close(value, weights(b)[name], rtol=1e-4, atol=1e-6)
        changed += not torch.equal(value, start[name])
    assert changed


def test_the_network_may_see_pixels_from_0_to_1(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 1, "input_range": "unit"})
    preprocessing = run.segmenter("cpu").preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((0, 0, 0), (1, 1, 1))


def test_a_run_lists_what_became_of_the_weights_it_starts_from(tmp_path: Path) -> None:
    first = fullconv.train(DATA, tmp_path / "a", **{**SMALL, "epochs": 1, "model": "fcn32s"})
    second = fullconv.train(DATA, tmp_path / "b", **{**SMALL, "epochs": 1, "init_from": str(first.path)})
    listing = (second.path / "weights.txt").read_text()
    assert "  by class score.32.weight\n" in listing
    assert "  left     score.16.weight: not in the source\n" in listing
    assert not (first.path / "weights.txt").exists()


@pytest.mark.parametrize("falls", [False, True])
def test_early_stopping(falls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while the loss falls, where the score is the same."""
    validate = LabelMaps.validate
    losses = iter([1.0, 0.9, 0.8, 0.7, 0.7, 0.7] if falls else [1.0] * 6)

    def flat(self: LabelMaps, *given: Any) -> Validation:
        found = validate(self, *given)
        return dataclasses.replace(found, columns={**found.columns, "mean_iou_of_val": 0.1, "val_loss": next(losses)})

    monkeypatch.setattr(LabelMaps, "validate", flat)
    options = {**FEW_STEPS, "epochs": 6, "early_stopping": 2}
    run = fullconv.train(FOUR_SCENES, tmp_path / "run", **options)
    with (run.path / "log.csv").open() as file:
        assert len(list(csv.DictReader(file))) == (6 if falls else 3)
    assert run.scores["epoch"] == (4 if falls else 1)


def test_staged_training_starts_from_another_model(tmp_path: Path) -> None:
    first = fullconv.train(DATA, tmp_path / "32s", **{**SMALL, "model": "fcn32s", "epochs": 1, "ema": 0.0})
    options = {**SMALL, "epochs": 1, "ema": 0.0, "rate": 1e-12, "init_from": str(first.path)}
    second = fullconv.train(DATA, tmp_path / "16s", **options)
    source = load_file(first.best)
    for name in ("score.32.weight", "encoder.body.conv1.0.weight"):
        torch.testing.assert_close(weights(second)[name], source[name], rtol=0, atol=1e-6)


def test_what_is_not_given_is_as_in_the_model_that_a_run_starts_from(tmp_path: Path) -> None:
    """Its encoder; of the same network the arguments, less those that are given; another library's whole network."""
    built = build_model("fcn16s", 5, "resnet10t", model_args={"head_channels": 8, "upscore": "learned"})
    file = tmp_path / "m.safetensors"
    fullconv.Segmenter(built, DATA.classes, fullconv.Preprocessing()).save(file)
    start = {"init_from": str(file)}
    config, said = as_started(TrainConfig(**start, model="fcn16s", model_args={"upscore": "fixed"}))
    assert config.model_args == {"head_channels": 8, "upscore": "fixed"}
    assert said == f"as in {file}: encoder resnet10t, model_args {config.model_args}"
    config, said = as_started(TrainConfig(**start))
    assert (config.model, config.encoder, config.model_args) == ("fcn8s", "resnet10t", {})
    assert as_started(TrainConfig(**start, encoder="resnet18"))[0].encoder == "resnet18"
    with pytest.raises(UsageError, match="its encoder is resnet10t, not resnet18; leave --encoder out"):
        fullconv.train(DATA, tmp_path / "run", **start, encoder="resnet18", quiet=True)
    built = build_model("torchvision", 5, "lraspp_mobilenet_v3_large")
    fullconv.Segmenter(built, DATA.classes, fullconv.Preprocessing()).save(file)
    config, _ = as_started(TrainConfig(**start))
    assert (config.model, config.encoder) == ("torchvision", "lraspp_mobilenet_v3_large")
    with pytest.raises(UsageError, match="a whole network of torchvision; leave --model and --encoder out"):
        fullconv.train(DATA, tmp_path / "run", **start, model="unet", quiet=True)


def test_staged_training_keeps_what_the_first_weights_need(tmp_path: Path) -> None:
    weights_file = tmp_path / "w.safetensors"
    state = timm.create_model("mobilenetv2_050", pad_type="same").state_dict()
    said = {"architecture": "mobilenetv2_050", "args": {"pad_type": "same"}, "mean": [0.5] * 3, "std": [0.5] * 3}
    save_file(state, weights_file, {"timm": json.dumps({**said, "licence": "Apache-2.0"})})
    options = {**SMALL, "encoder": "mobilenetv2_050", "encoder_args": {}, "epochs": 1, "model": "fcn32s"}
    first = fullconv.train(DATA, tmp_path / "a", **{**options, "encoder_weights": str(weights_file)})
    second = fullconv.train(DATA, tmp_path / "b", **{**options, "model": "fcn16s", "init_from": str(first.path)})
    segmenter = second.segmenter("cpu")
    assert segmenter.config["encoder_args"] == {"pad_type": "same"}
    assert segmenter.preprocessing.mean == (0.5, 0.5, 0.5)
    assert segmenter.licence == "Apache-2.0"
    with pytest.raises(UsageError, match="use --encoder mobilenetv2_050"):
        fullconv.train(DATA, tmp_path / "c", **{**SMALL, "init_from": str(first.path)})
    # a run goes on without the file that its weights came from
    weights_file.unlink()
    fullconv.train(DATA, first.path, resume=True, quiet=True)


def test_class_weights(tmp_path: Path) -> None:
    """``median-frequency`` is its formula given as numbers; both change what is learned."""
    pixels, images = np.zeros(5), np.zeros(5)  # of a class, and of the images that show it
    for item in DATA.split("train"):
        found = np.bincount(read_sample(DATA, item).labels.ravel(), minlength=256)[:5]
        pixels += found
        images += (found > 0) * found.sum()
    frequency = pixels / images
    options = {**SMALL, "epochs": 1}
    runs = [
        fullconv.train(DATA, tmp_path / str(index), **{**options, "class_weights": kind})
        for index, kind in enumerate(["none", "median-frequency", (np.median(frequency) / frequency).tolist()])
    ]
    plain, named, given = (weights(run)["score.32.bias"] for run in runs)
    torch.testing.assert_close(given, named)
    assert not torch.allclose(plain, named)
