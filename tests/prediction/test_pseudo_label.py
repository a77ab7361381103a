"""Pseudo-labels: what a model says of images without masks, as data to train on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import fullconv
from fullconv.cli.main import run
from fullconv.crf import CRF, dense_crf
from fullconv.data.annotations import Annotation, Kind, box_ring
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.images.encoding import MaskEncoding
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from tests.builders.models import make, picture

CLASSES = ClassSet(("background", "disc", "ring"), ((1, 2, 3), (200, 0, 0), (0, 0, 200)))
SIZE = (40, 48)


@pytest.fixture(scope="module")
def model() -> Segmenter:
    """An untrained one, on three classes."""
    segmenter = make()
    segmenter.classes = CLASSES
    score = segmenter.network.score
    assert isinstance(score, nn.ModuleDict)
    with torch.no_grad():  # every class somewhere
        logits = segmenter.runner.coarse_logits(torch.from_numpy(picture(*SIZE)).permute(2, 0, 1)[None])[0]
        for _, head in sorted(score.items())[:1]:
            head.bias -= logits.mean((0, 2, 3))
    return segmenter


def images(folder: Path, names: str = "abcd") -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.fromarray(np.roll(picture(*SIZE), 5 * number, 1)).save(folder / f"{name}.png")
    return folder


def mask(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.getpalette()[3:6] == [200, 0, 0]
        return np.asarray(image)


def chances(model: Segmenter, file: Path) -> np.ndarray:
    found = model.predict(file, probabilities=True).probabilities
    assert found is not None
    return found


def annotated(folder: Path, *marks: tuple[Kind, int, np.ndarray]) -> DatasetSpec:
    """One image that has no mask, but these marks: kind, label, places."""
    items = tuple(
        Annotation(label, kind, (places,) if len(places) else (), None, str(label), place)
        for place, (kind, label, places) in enumerate(marks)
    )
    source = Annotations("marks.json", SIZE, items, has_label_map=False)
    item = Item("a", FileImage(folder / "a.png"), source)
    return DatasetSpec("marks", folder, "test", (), CLASSES, MaskEncoding(), {"train": [item]})


def test_a_folder_of_images_becomes_data_to_train_on(model: Segmenter, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "photos"), tmp_path / "out"
    probable = [chances(model, path) for path in sorted(folder.iterdir())]
    confidence = float(np.median([one.max(0) for one in probable]))
    done = fullconv.pseudo_label(model, folder, out, confidence=confidence)
    for name, one in zip("abcd", probable, strict=True):
        expected = np.where(one.max(0).astype(np.float32) < confidence, 255, one.argmax(0))
        assert np.array_equal(mask(out / "masks" / f"{name}.png"), expected)
        assert (out / "images" / f"{name}.png").read_bytes() == (folder / f"{name}.png").read_bytes()
    spec = fullconv.open_dataset(out)
    assert spec.classes == CLASSES
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 3, "val": 1}
    found = [item.annotation.label_map(3, 255) for split in spec.splits.values() for item in split]
    void = sum(int((labels == 255).sum()) for labels in found)
    assert (done.predicted, done.kept, done.pixels, done.void) == (4, 0, 4 * 40 * 48, void)
    assert 0.3 < void / done.pixels < 0.7
    assert f"provenance.json: 4 of 4 masks are pseudo-labels by a model in memory, {void / done.pixels:.1%}" in str(
        spec.reasons
    )
    assert not any("not used" in reason for reason in spec.reasons)
    assert "scores against pseudo-labels" in done.notes[0]
    assert not fullconv.check(out).problems


def test_masks_that_are_there_are_kept_and_only_the_others_made(model: Segmenter, tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    images(root / "images", "abcdefgh")
    (root / "masks").mkdir()
    own = np.zeros(SIZE, np.uint8)
    own[5:20, 5:20], own[22:30, 8:40] = 1, 2
    for name in "abcde":
        Image.fromarray(own).save(root / "masks" / f"{name}.png")
    (root / "dataset.yaml").write_text("classes: [background, disc, ring]\n")
    with pytest.raises(DataError, match="3 of 8 images have no mask"):
        fullconv.open_dataset(root)
    done = fullconv.pseudo_label(model, root, out, confidence=0)
    assert (done.predicted, done.kept, done.void) == (3, 5, 0)
    for name in "abcde":
        assert np.array_equal(mask(out / "masks" / f"{name}.png"), own)
    for name in "fgh":
        assert np.array_equal(
            mask(out / "masks" / f"{name}.png"), chances(model, root / "images" / f"{name}.png").argmax(0)
        )
    spec = fullconv.open_dataset(out)
    assert {item.id for item in spec.split("val")} <= set("abcde")
    assert {item.id for item in spec.split("train")} >= set("fgh")
    assert "3 of 8 masks are pseudo-labels" in str(spec.reasons)


def test_lists_may_name_images_that_have_no_mask(model: Segmenter, tmp_path: Path) -> None:
    """Those of train and val are labelled for train, those of test left out; review looks at all of them."""
    root, out = tmp_path / "data", tmp_path / "out"
    images(root / "images", "abcdefgh")
    (root / "masks").mkdir()
    for name in "abc":
        Image.fromarray(np.eye(*SIZE, dtype=np.uint8)).save(root / "masks" / f"{name}.png")
    (root / "dataset.yaml").write_text("classes: [background, disc, ring]\n")
    (root / "train.txt").write_text("a\nimages/d.png\nsomewhere/else/images/e.jpg\nb\n")
    (root / "val.txt").write_text("c.png\nf\n")
    (root / "test.txt").write_text("g masks/g.png\n")
    with pytest.raises(DataError, match="5 of 8 images have no mask"):
        fullconv.open_dataset(root)
    done = fullconv.pseudo_label(model, root, out, confidence=0)
    assert (done.predicted, done.kept) == (4, 3)
    assert "not used" not in str(done.reasons)
    spec = fullconv.open_dataset(out)
    assert {split: {item.id for item in items} for split, items in spec.splits.items()} == {
        "train": set("abdefh"), "val": {"c"}
    }  # fmt: skip
    assert "1 image of test has no mask and is left out" in done.notes
    assert fullconv.review(model, root).without_mask == 5
    assert fullconv.review(model, root, split="train").without_mask == 3  # d, e, and h, which no list names
    (root / "train.txt").write_text("a\nnobody\n")
    with pytest.raises(DataError, match=r"1 of 2 entries name no image with a mask \(nobody\)"):
        fullconv.pseudo_label(model, root, tmp_path / "again")


def test_labels_are_held_to_boxes(model: Segmenter, tmp_path: Path) -> None:
    folder = images(tmp_path / "photos", "a")
    boxes = [(1, (4, 6, 20, 30)), (2, (15, 10, 40, 38)), (-1, (42, 30, 48, 40))]
    spec = annotated(folder, *(("box", label, box_ring(*box)) for label, box in boxes))
    done = fullconv.pseudo_label(model, spec, tmp_path / "out", confidence=0.6)
    one = chances(model, folder / "a.png").astype(np.float64)
    found = mask(tmp_path / "out" / "masks" / "a.png")
    for row in range(40):
        for column in range(48):
            inside = [label for label, (x, y, r, b) in boxes if x <= column < r and y <= row < b]
            known = {label: one[label, row, column] for label in {0, *inside} if label >= 0}
            best = max(known, key=lambda label: known[label])
            share = known[best] / sum(known.values())
            if -1 in inside:
                assert found[row, column] == 255
            elif abs(share - 0.6) > 1e-3:
                assert found[row, column] == (best if share >= 0.6 else 255)
    assert done.held_to == {"boxes": 1}
    assert {0, 1, 2, 255} == set(np.unique(found).tolist())


def test_labels_are_held_to_tags_and_to_points(model: Segmenter, tmp_path: Path) -> None:
    folder = images(tmp_path / "photos", "a")
    nothing = np.zeros((0, 2))
    fullconv.pseudo_label(model, annotated(folder, ("tag", 2, nothing)), tmp_path / "tags", confidence=0)
    one = chances(model, folder / "a.png")
    assert np.array_equal(mask(tmp_path / "tags" / "masks" / "a.png"), np.where(one[2] > one[0], 2, 0))
    points = annotated(folder, ("point", 1, np.array([[10.5, 12.5]])), ("point", 2, np.array([[30.5, 20.5]])))
    fullconv.pseudo_label(model, points, tmp_path / "points", confidence=0)
    expected = one.argmax(0)
    expected[11:14, 9:12], expected[19:22, 29:32] = 1, 2
    assert np.array_equal(mask(tmp_path / "points" / "masks" / "a.png"), expected)


def test_the_crf_refines_before_the_threshold(model: Segmenter, tmp_path: Path) -> None:
    folder, crf = images(tmp_path / "photos", "a"), CRF(iterations=2)
    fullconv.pseudo_label(model, folder, tmp_path / "out", confidence=0.5, crf=crf)
    one = chances(model, folder / "a.png").astype(np.float32)
    refined = dense_crf(one / one.sum(0), np.asarray(Image.open(folder / "a.png")), crf)
    expected = np.where(refined.max(0) < 0.5, 255, refined.argmax(0))
    assert (mask(tmp_path / "out" / "masks" / "a.png") != expected).mean() < 0.002


def test_prior_and_superpixels_come_before_what_is_known(
    model: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels are those of ``predict``, where nothing is known; else the best of those that can be."""
    folder, file = images(tmp_path / "photos", "ab"), tmp_path / "model.safetensors"
    taught = Segmenter.load(_saved(model, file), "cpu")
    command = ["pseudo-label", str(file), str(folder), "--image-prior", "--superpixels", "--confidence", "0"]
    assert run([*command, "--device", "cpu", "--precision", "fp32", "--out", str(tmp_path / "out")]) == 0
    plain = [chances(taught, folder / f"{name}.png").argmax(0) for name in "ab"]
    options = {"image_prior": True, "superpixels": fullconv.Superpixels()}
    for name, before in zip("ab", plain, strict=True):
        found = mask(tmp_path / "out" / "masks" / f"{name}.png")
        assert np.array_equal(found, taught.predict(folder / f"{name}.png", **options).labels)
        assert (found != before).mean() > 0.05
    settings = json.loads((tmp_path / "out" / "provenance.json").read_text())["settings"]
    assert settings["image_prior"] is True
    assert settings["superpixels"] == {"scale": 100.0, "sigma": 0.8, "smallest": 20}
    data = annotated(folder, ("tag", 2, np.zeros((0, 2))))
    fullconv.pseudo_label(taught, data, tmp_path / "tags", confidence=0, **options)
    likely = taught.predict(folder / "a.png", probabilities=True, **options).probabilities
    assert likely is not None
    assert np.array_equal(mask(tmp_path / "tags" / "masks" / "a.png"), np.where(likely[2] > likely[0], 2, 0))
    with pytest.raises(UsageError, match="not trained with image tags"):
        fullconv.pseudo_label(model, folder, tmp_path / "other", image_prior=True)
    assert not (tmp_path / "other").exists()


def _saved(model: Segmenter, file: Path) -> Path:
    """The model's file, as if tags had taught it."""
    model.save(file)
    taught = Segmenter.load(file, "cpu")
    taught.provenance["image_level"] = {"pooling": "lse", "sharpness": 5.0}
    taught.save(file)
    return file


def test_train_images_with_masks_are_labelled_anew_only_when_asked(model: Segmenter, tmp_path: Path) -> None:
    shapes = "shapes:height=32,width=40,train=3,val=2,num_classes=3"
    segmenter = make()
    segmenter.classes = fullconv.open_dataset(shapes).classes
    with pytest.raises(DataError, match="all 5 images have a mask already, nothing is left to label; --labels boxes"):
        fullconv.pseudo_label(segmenter, shapes, tmp_path / "out")
    done = fullconv.pseudo_label(segmenter, shapes, tmp_path / "out", labels="boxes")
    assert (done.predicted, done.kept, done.held_to) == (3, 2, {"boxes": 3})
    again, first = fullconv.open_dataset(tmp_path / "out"), fullconv.open_dataset(shapes)
    for new, old in zip(again.split("val"), first.split("val"), strict=True):
        assert np.array_equal(new.annotation.label_map(3, 255), old.annotation.label_map(3, 255))
    for new, old in zip(again.split("train"), first.split("train"), strict=True):
        truth, found = old.annotation.label_map(3, 255), new.annotation.label_map(3, 255)
        rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
        found = found.copy()
        found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 0
        assert not found.any()
    with pytest.raises(DataError, match="the model knows 3"):
        fullconv.pseudo_label(model, shapes.replace("classes=3", "classes=6"), tmp_path / "other", labels="boxes")


def test_what_cannot_be_is_refused_and_leaves_nothing(model: Segmenter, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "photos"), tmp_path / "out"
    with pytest.raises(UsageError, match="photos: exists; choose another folder"):
        fullconv.pseudo_label(model, folder, folder)
    with pytest.raises(UsageError, match="confidence is a probability from 0 to less than 1, found 1"):
        fullconv.pseudo_label(model, folder, out, confidence=1)
    with pytest.raises(UsageError, match="masks are what is made here"):
        fullconv.pseudo_label(model, folder, out, labels="masks")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FullconvError, match="no data set recognised"):
        fullconv.pseudo_label(model, tmp_path / "empty", out)
    root = tmp_path / "data"
    images(root / "images", "ab")
    (root / "masks").mkdir()
    Image.fromarray(np.ones(SIZE, np.uint8)).save(root / "masks" / "a.png")
    (root / "dataset.yaml").write_text("classes: [background, disc]\n")
    with pytest.raises(DataError, match="its masks do not label ring, which the model knows"):
        fullconv.pseudo_label(model, root, out)
    (folder / "c.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"c\.png"):
        fullconv.pseudo_label(model, folder, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "empty", "photos"]


def test_masks_of_a_mixture_that_do_not_label_every_class_are_no_truth(model: Segmenter, tmp_path: Path) -> None:
    """What is a ring is background in these masks: no data set may have both them and predicted rings."""
    with_masks, with_tags = tmp_path / "a", tmp_path / "b"
    images(with_masks / "images", "abcde")
    (with_masks / "masks").mkdir()
    for name in "abcde":
        Image.fromarray(np.eye(*SIZE, dtype=np.uint8)).save(with_masks / "masks" / f"{name}.png")
    (with_masks / "dataset.yaml").write_text("classes: [background, disc]\n")
    images(with_tags / "images", "abc")
    (with_tags / "tags.csv").write_text("a,ring\nb,ring;disc\nc,disc\n")
    with pytest.raises(DataError, match="5 masks, which would be kept, do not label ring, as the model does"):
        fullconv.pseudo_label(model, f"{with_masks}+{with_tags}", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert fullconv.pseudo_label(model, with_tags, tmp_path / "out").held_to == {"tags": 3}
    (with_masks / "dataset.yaml").write_text("classes: [background, disc, ring]\n")
    done = fullconv.pseudo_label(model, f"{with_masks}+{with_tags}", tmp_path / "both")
    assert (done.predicted, done.kept) == (3, 5)


def test_the_command_says_what_it_did_and_where_labels_come_from(
    model: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file, out = images(tmp_path / "photos"), tmp_path / "model.safetensors", tmp_path / "out"
    model.save(file)
    command = ["pseudo-label", str(file), str(folder), "--out", str(out), "--device", "cpu", "--precision", "fp32"]
    assert run([*command, "--confidence", "0.4", "--crf-with", "iterations=1"]) == 0
    said = capsys.readouterr().out
    assert f"\n{out}: 4 images labelled; 0 keep their masks\n" in said
    assert "% of the predicted pixels are void" in said
    content = json.loads((out / "provenance.json").read_text())
    assert content["model"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert content["model"]["file"] == str(file)
    assert content["data"] == {"name": "photos", "given": str(folder)}
    assert content["settings"] == {
        "labels": "auto", "confidence": 0.4, "image_prior": False, "superpixels": None,
        "crf": dataclasses.asdict(CRF(iterations=1)),
    }  # fmt: skip
    assert content["images"] == {"predicted": 4, "own_masks": 0, "held_to": {}}
    counted = {path.name: float((mask(path) == 255).mean()) for path in (out / "masks").iterdir()}
    assert content["void_share"] == pytest.approx(counted)
    assert run(command) == 2
    assert "exists; choose another folder" in capsys.readouterr().err
    (out / "provenance.json").write_text("[]")
    assert "provenance.json" in next(line for line in fullconv.open_dataset(out).reasons if "not used" in line)
