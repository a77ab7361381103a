"""Training on data or options that are unusual: left out and counted, or refused before anything is written."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.errors import DataError, FullconvError, UsageError
from tests.builders.runs import DATA, SMALL


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
    assert "batch 2, 2 steps an epoch; the last batch of a pass is filled up with 1 image of its first" in said
    assert run.scores["images"] == 2
    assert run.segmenter().provenance["train_images"] == 3
    fullconv.train(root, tmp_path / "padded", **{**options, "crop": (33, 33)})
    assert "crops of 33x33 (height x width); 3 of 8 images are smaller and are padded" in capsys.readouterr().out
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
        ({"resize": (60000, 60000)}, UsageError, "needs about .* GiB.*smaller"),
        ({"class_weights": [1.0]}, UsageError, "expected 5 numbers, of background, disc, .*; found 1"),
        ({"strategy": "fsdp"}, UsageError, "strategy: .*'auto', 'ddp'.*found 'fsdp'"),
        ({"strategy": "ddp_spawn"}, UsageError, "strategy: .*'auto', 'ddp'.*found 'ddp_spawn'"),
        ({"device": "abacus"}, UsageError, "device: .*'cpu', 'cuda'.*found 'abacus'"),
        ({"devices": "two"}, UsageError, "expected auto, a number of devices"),
        ({"devices": 0}, UsageError, "expected at least 1"),
        ({"device": "cpu", "devices": "0,1"}, UsageError, "0,1 devices of cpu: not available on this machine"),
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
        fullconv.train("shapes:train=4,val=2", tmp_path / "run", device="cpu", devices="5", batch_size=2, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_crop_of_nearly_nothing_but_padding_is_refused(tmp_path: Path) -> None:
    small = {"encoder": "resnet10t", "epochs": 1, "workers": 0, "quiet": True}
    with pytest.raises(UsageError, match="--crop 4000 16: the largest image is 40x40, so nearly all of each crop"):
        fullconv.train("shapes:height=40,width=40,train=2,val=1", tmp_path / "run", crop=(4000, 16), **small)
    assert not (tmp_path / "run").exists()
