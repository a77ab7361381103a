from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from lightning.fabric import Fabric
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import jaccard_score, recall_score

import fullconv
from fullconv.data import Shapes
from fullconv.data.sample import read_sample
from fullconv.device import choose_precision
from fullconv.errors import DataError, FullconvError, Interrupted, UsageError
from fullconv.formats.open import shapes_dataset
from fullconv.ops import upsample
from fullconv.training import fit as fit_module
from fullconv.training.learner import Learner
from fullconv.training.state import Checkpoint
from tests.builders.runs import DATA, SMALL


def weights(run: fullconv.Run) -> dict[str, torch.Tensor]:
    return load_file(run.last)


def test_a_run_leaves_everything_behind(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "runs" / "run", **SMALL)
    with (run.path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert set(rows[0]) == {
        "epoch", "train_loss", "train_pixel_accuracy", "train_mean_accuracy", "train_mean_iou",
        "val_loss", "pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou", "rate", "seconds",
        *(f"iou/{name}" for name in run.segmenter().classes.names),
    }  # fmt: skip
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


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 8, "ema": 0.0, "rate": 3e-3})
    with (run.path / "log.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("stop_at", [2, 4, 8])
def test_interrupted_and_resumed_ends_with_the_same_weights(
    stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mid-epoch, at the end of an epoch (4 steps each), at the end of a later one; workers may change."""
    whole = fullconv.train(DATA, tmp_path / "whole", **SMALL)

    class StopAt(fit_module.InterruptRequest):
        calls = 0

        @property
        def asked(self) -> bool:
            StopAt.calls += 1
            return StopAt.calls >= stop_at

        @asked.setter
        def asked(self, value: bool) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "InterruptRequest", StopAt)
        with pytest.raises(Interrupted, match="interrupted at step"):
            fullconv.train(DATA, tmp_path / "cut", **SMALL)
    run = fullconv.train(DATA, tmp_path / "cut", resume=True, workers=1, quiet=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(run)[name]), name
    without_time = [(p / "log.csv").read_text().splitlines() for p in (whole.path, run.path)]
    assert [line.rsplit(",", 1)[0] for line in without_time[0]] == [line.rsplit(",", 1)[0] for line in without_time[1]]


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


def test_ctrl_c_saves_and_exits_130(tmp_path: Path) -> None:
    data = "shapes:height=64,width=64,train=12,val=2"
    command = [sys.executable, "-m", "fullconv", "train", data, "--out", str(tmp_path / "run")]
    command += ["--encoder", "resnet10t", "--model", "fcn16s", "--epochs", "100000", "--no-check", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not (tmp_path / "run" / "log.csv").is_file() and process.poll() is None:  # however busy the machine is
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].endswith("--resume")
    assert (tmp_path / "run" / "resume" / "state.pt").is_file()


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
        "        accelerator='cpu', devices=sys.argv[2])\n"
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


def test_the_latest_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {**SMALL, "epochs": 2}
    run = fullconv.train(DATA, **options)
    (run.path / "log.csv").unlink()
    state = Checkpoint.read(run)
    assert state is not None
    state.progress.step -= 1  # as if stopped before the last step
    state.progress.history.pop()
    state.write(run)
    again = fullconv.train(DATA, resume=True, quiet=True)
    assert again.path.resolve() == run.path.resolve()
    assert Path("runs/latest").resolve() == run.path.resolve()
    assert len((run.path / "log.csv").read_text().splitlines()) == 3


def test_a_run_goes_on_in_the_arithmetic_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 1, "precision": "auto"})
    state = Checkpoint.read(run)
    assert state is not None
    assert state.precision == choose_precision("auto", torch.device("cpu"))
    dataclasses.replace(state, precision="fp32").write(run)
    seen: list[Any] = []
    monkeypatch.setattr(
        "fullconv.training.devices.Fabric", lambda **given: seen.append(given["precision"]) or Fabric(**given)
    )
    fullconv.train(DATA, run.path, resume=True, quiet=True)
    assert seen == ["32-true"]


def test_a_val_split_without_a_labelled_pixel_still_gives_a_model(make_folder, tmp_path: Path) -> None:
    root = make_folder(4)
    for name in ("train", "val"):
        (root / f"{name}.txt").write_text("scene_0\nscene_1\n" if name == "train" else "scene_2\n")
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(root / "masks" / "scene_2.png")
    run = fullconv.train(root, tmp_path / "run", **{**SMALL, "epochs": 1, "check": False})
    assert run.best.is_file()
    assert run.scores["mean_iou"] is None
    with (run.path / "log.csv").open() as file:
        assert next(csv.DictReader(file))["val_loss"] == "nan"  # not 0, which would be perfect
    assert run.scores["loss"] is None
    scores = fullconv.evaluate(run.segmenter(), root, workers=0)
    assert np.isnan(scores.loss)
    for name in ("scene_0", "scene_1"):
        shutil.copy(root / "masks" / "scene_2.png", root / "masks" / f"{name}.png")
    (root / "dataset.yaml").write_text("classes: [a, b]\n")
    run = fullconv.train(root, tmp_path / "none", **{**SMALL, "epochs": 1, "check": False})
    with (run.path / "log.csv").open() as file:
        assert next(csv.DictReader(file))["train_loss"] == "nan"


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


def test_early_stopping(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 30, "early_stopping": 2, "rate": 1e-9})
    with (run.path / "log.csv").open() as file:
        assert len(list(csv.DictReader(file))) < 30


def test_staged_training_starts_from_another_model(tmp_path: Path) -> None:
    first = fullconv.train(DATA, tmp_path / "32s", **{**SMALL, "model": "fcn32s", "epochs": 1, "ema": 0.0})
    options = {**SMALL, "epochs": 1, "ema": 0.0, "rate": 1e-12, "init_from": str(first.path)}
    second = fullconv.train(DATA, tmp_path / "16s", **options)
    source = load_file(first.best)
    for name in ("score.32.weight", "encoder.body.conv1.0.weight"):
        torch.testing.assert_close(weights(second)[name], source[name], rtol=0, atol=1e-6)


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


def test_a_run_resumes_on_its_own_data_only(tmp_path: Path) -> None:
    run = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 1})
    other = shapes_dataset(Shapes(height=64, width=64, train=12, val=3))
    with pytest.raises(UsageError, match="not the data of this run"):
        fullconv.train(other, run.path, resume=True, quiet=True)
    run.state.write_bytes(run.state.read_bytes()[:999])
    with pytest.raises(UsageError, match=r"state\.pt: damaged"):
        fullconv.train(DATA, run.path, resume=True, quiet=True)


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


def test_images_of_other_sizes_and_channels(make_folder, tmp_path: Path) -> None:
    root = make_folder(6)
    (root / "dataset.yaml").write_text("channels: 1\n")
    with Image.open(root / "images" / "scene_0.png") as image:
        small = image.resize((20, 10))
    small.save(root / "images" / "scene_0.png")
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(root / "masks" / "scene_0.png")
    run = fullconv.train(root, tmp_path / "run", **{**SMALL, "epochs": 1, "resize": (32, 64)})
    assert run.segmenter().predict(np.zeros((7, 9), np.uint8)).labels.shape == (7, 9)


def test_small_images_are_left_out_of_both_splits_and_counted(
    make_folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(8)
    for name, first, last in (("train", 0, 5), ("val", 5, 8)):
        (root / f"{name}.txt").write_text("".join(f"scene_{i}\n" for i in range(first, last)))
    for index, size in ((0, (64, 31)), (3, (31, 48)), (7, (63, 20))):  # width, height
        with Image.open(root / "images" / f"scene_{index}.png") as image:
            image.resize(size).save(root / "images" / f"scene_{index}.png")
        Image.fromarray(np.zeros(size[::-1], np.uint8)).save(root / "masks" / f"scene_{index}.png")
    options = {**SMALL, "epochs": 1, "batch_size": 2, "quiet": False}
    run = fullconv.train(root, tmp_path / "run", **{**options, "crop": (32, 32), "filter_small": True})
    said = capsys.readouterr().out
    assert "read 3 of 5 train images and 2 of 3 val images: filter_small leaves out those smaller than 32x32" in said
    assert "batch 2, 2 steps an epoch; its last batch is filled up with 1 image of its first" in said
    assert run.scores["images"] == 2
    assert run.segmenter().provenance["train_images"] == 3
    fullconv.train(root, tmp_path / "padded", **{**options, "crop": (32, 32)})
    assert "crops of 32x32 (given); 3 of 8 images are smaller and are padded" in capsys.readouterr().out
    with pytest.raises(DataError, match="leaves no train image of at least 500x500, the largest is 48 high or 64 wide"):
        fullconv.train(root, tmp_path / "run3", **{**options, "crop": (500, 500), "filter_small": True})
    for index in (5, 6):
        for folder in ("images", "masks"):
            with Image.open(root / folder / f"scene_{index}.png") as image:
                image.crop((0, 0, 40, 40)).save(root / folder / f"scene_{index}.png")
    with pytest.raises(DataError, match="leaves no val image of at least 48x64, the largest is 40 high or 63 wide"):
        fullconv.train(root, tmp_path / "run4", **{**options, "crop": (48, 64), "filter_small": True})


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"crop": (200000, 200000)}, UsageError, "needs about .* GiB.*smaller"),
        ({"class_weights": [1.0]}, UsageError, "expected 5 numbers"),
        ({"strategy": "fsdp"}, UsageError, "strategy: .*'auto', 'ddp'.*found 'fsdp'"),
        ({"strategy": "ddp_spawn"}, UsageError, "strategy: .*'auto', 'ddp'.*found 'ddp_spawn'"),
        ({"accelerator": "abacus"}, UsageError, "accelerator: .*'cpu', 'gpu'.*found 'abacus'"),
        ({"devices": "two"}, UsageError, "expected auto, a number of devices"),
        ({"devices": 0}, UsageError, "expected at least 1"),
        ({"accelerator": "cpu", "devices": "0,1"}, UsageError, "0,1 devices of cpu: not available on this machine"),
        ({"init_from": "nowhere.safetensors"}, UsageError, "no such model"),
        ({"encoder_weights": "nowhere.pth"}, UsageError, "no such weights file"),
        ({"model": "fcn9s"}, UsageError, "no model is called"),
    ],
)
def test_refused_before_anything_is_written(options: dict, kind: type, words: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=words):
        fullconv.train(DATA, tmp_path / "run", **{**SMALL, **options})
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FullconvError, match=r"not finite in step 2.*smaller --rate"):
        fullconv.train(DATA, tmp_path / "run", **{**SMALL, "optimizer": "sgd", "rate": 1e30, "clip_norm": 0.0})
    assert list(tmp_path.iterdir()) == []


def test_runs_are_never_overwritten_and_resume_needs_one(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").touch()
    with pytest.raises(UsageError, match="never overwrites"):
        fullconv.train(DATA, tmp_path / "run", **SMALL)
    with pytest.raises(UsageError, match="no run to resume"):
        fullconv.train(DATA, tmp_path / "none", resume=True)
    run = fullconv.train(DATA, tmp_path / "done", **{**SMALL, "epochs": 1})
    with pytest.raises(UsageError, match="epochs was 1"):
        fullconv.train(DATA, run.path, resume=True, epochs=5)


def test_more_processes_than_images_of_a_step_are_refused_before_they_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a batch of 2 cannot be shared by 5 processes"):
        fullconv.train(
            "shapes:train=4,val=2", tmp_path / "run", accelerator="cpu", devices="5", batch_size=2, quiet=True
        )
    assert not (tmp_path / "run").exists()
