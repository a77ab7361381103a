"""Several data sets as one, against a loss written out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

import fullconv
from fullconv.checking.check import check
from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.data.loader import EvalData, collate
from fullconv.data.mixing import renamed
from fullconv.errors import DataError, UsageError
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.ops import upsample_cross_entropy
from fullconv.ops.partial import mask_unlabelled_classes
from tests.builders.folders import Make


@pytest.fixture
def both(make_folder: Make) -> str:
    """Two folders: one knows ground, disc, square, triangle, ring; the other Ground, boat, Disc (5 ids, two void)."""
    first, second = make_folder(6, name="a"), make_folder(6, name="b")
    (first / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "disc", "square", "triangle", "ring"]}))
    values = {0: "Ground", 1: "boat", 2: "Disc"}
    (second / "dataset.yaml").write_text(yaml.safe_dump({"values": values, "ignore": [3, 4, 255]}))
    return f"{first}+{second}"


def test_classes_are_joined_by_name(both: str) -> None:
    spec = open_dataset(both)
    assert spec.classes.names == ("ground", "disc", "square", "triangle", "ring", "boat")
    assert spec.labelled == ((True,) * 5 + (False,), (True, True, False, False, False, True))
    second = open_dataset(both.split("+")[1])
    plain = read_sample(second, second.split("train")[0])
    item = next(item for item in spec.split("train") if item.source == 1)
    mixed = read_sample(spec, item)
    assert mixed.id == f"1/{plain.id}"
    for theirs, ours in ((0, 0), (1, 5), (2, 1), (255, 255)):
        np.testing.assert_array_equal(mixed.labels == ours, plain.labels == theirs)
    assert not check(spec).problems
    batch = collate([EvalData(spec, spec.split("train"))[0], mixed])
    assert batch.sources == [0, 1]


def test_a_pixel_is_asked_about_the_classes_of_its_data_set_only() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5, 6, requires_grad=True)
    labels = torch.randint(0, 2, (2, 20, 24))
    labelled = ((True, True, True, False), (True, True, False, True))
    loss = upsample_cross_entropy(mask_unlabelled_classes(logits, labelled, [0, 1]), labels)
    loss.backward()
    full = F.interpolate(logits, (20, 24), mode="bilinear")
    first, second = full[:1, [0, 1, 2]], full[1:, [0, 1, 3]]
    expected = (F.cross_entropy(first, labels[:1]) + F.cross_entropy(second, labels[1:])) / 2
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert not logits.grad[0, 3].any()
    assert not logits.grad[1, 2].any()
    assert logits.grad[0, 2].any()
    assert mask_unlabelled_classes(logits, None, [0, 0]) is logits


def test_a_mixture_trains_and_is_scored_within_its_own_classes(both: str, tmp_path: Path) -> None:
    options = {"encoder": "resnet10t", "epochs": 1, "batch_size": 4, "workers": 0, "quiet": True, "crop": (32, 32)}
    run = fullconv.train(both, tmp_path / "run", **options)
    segmenter = run.segmenter("cpu")
    assert len(segmenter.classes) == 6
    scores = fullconv.evaluate(segmenter, both, workers=0)
    assert scores.mean_iou == pytest.approx(run.scores["mean_iou"])
    with pytest.raises(UsageError, match="without label_smoothing"):
        fullconv.train(both, tmp_path / "no", **options, loss="dice")


def test_shapes_may_be_mixed_and_channels_must_agree(make_folder: Make) -> None:
    spec = open_dataset("shapes:height=20,width=30,train=3,val=2+shapes:height=20,width=30,train=4,val=1,num_classes=3")
    assert spec.classes.names == ("background", "disc", "square", "triangle", "ring")
    assert [len(spec.split(name)) for name in ("train", "val")] == [7, 3]
    assert read_sample(spec, spec.split("train")[5]).image.shape == (20, 30, 3)
    with pytest.raises(DataError, match="cannot be mixed"):
        open_dataset("shapes+shapes:bands=4")
    with pytest.raises(UsageError, match="no such folder"):
        open_dataset(f"{make_folder()}+nowhere")


def test_data_are_read_in_anothers_classes_by_name(both: str) -> None:
    second = open_dataset(both.split("+")[1])
    mixed = open_dataset(both)
    spec = renamed(second, mixed.classes)
    assert spec is not None
    assert spec.classes == mixed.classes
    assert spec.labelled == ((True, True, False, False, False, True),)
    by_id = {item.id: item for items in mixed.splits.values() for item in items}
    for items in spec.splits.values():
        for item in items:
            same = read_sample(mixed, by_id[f"1/{item.id}"])
            np.testing.assert_array_equal(read_sample(spec, item).labels, same.labels)
    assert renamed(mixed, second.classes) is None
    assert renamed(open_dataset(both.split("+")[0]), second.classes) is None


def test_a_model_of_a_mixture_is_scored_on_a_part_of_it(both: str, tmp_path: Path) -> None:
    run = fullconv.train(
        both, tmp_path / "run", quiet=True, encoder="resnet18", epochs=1, batch_size=4, crop=(32, 32), workers=0
    )
    scores = fullconv.evaluate(run.best, both.split("+")[1], "val", workers=0)
    assert [name for name, iou in zip(scores.classes.names, scores.iou, strict=True) if not np.isnan(iou)]
    assert np.isnan(scores.iou[2:5]).all()  # what the part does not label has no score


@pytest.mark.parametrize("to", ["folder", "webdataset"])
def test_a_converted_mixture_keeps_which_classes_each_part_labels(both: str, to: str, tmp_path: Path) -> None:
    mixed = open_dataset(both)
    result = convert(mixed, tmp_path / "copy", to)
    assert not any("is not kept" in note for note in result.notes)
    copy = open_dataset(tmp_path / "copy")
    assert copy.classes.names == mixed.classes.names
    assert copy.labelled is not None
    assert mixed.labelled is not None
    again = convert(copy, tmp_path / "again", "folder")
    for spec in (copy, open_dataset(again.out)):
        for split in ("train", "val"):
            for item, source in zip(spec.split(split), mixed.split(split), strict=True):
                assert spec.labelled is not None
                assert spec.labelled[item.source] == mixed.labelled[source.source]
                np.testing.assert_array_equal(read_sample(spec, item).labels, read_sample(mixed, source).labels)
    assert any("is not kept" in note for note in convert(mixed, tmp_path / "voc", "voc").notes)


def test_a_mixture_may_be_mixed_and_read_by_name_again(both: str, make_folder: Make) -> None:
    third = make_folder(4, name="c")
    (third / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "car", "disc", "kite", "house"]}))
    mixed = open_dataset(both)
    copy = convert(mixed, third.parent / "copy").out
    wider = open_dataset(f"{third}+{copy}")
    assert wider.classes.names == ("ground", "car", "disc", "kite", "house", "square", "triangle", "ring", "boat")
    assert wider.labelled is not None
    by_first = {item.id: wider.labelled[item.source] for items in wider.splits.values() for item in items}
    boats = {row[8] for name, row in by_first.items() if "1_scene" in name}
    assert boats == {True}
    assert {row[8] for name, row in by_first.items() if "0_scene" in name} == {False}
    read = renamed(mixed, wider.classes)
    assert read is not None
    assert read.labelled == tuple(row for row in wider.labelled if not row[1])[: len(read.labelled)]


def test_a_folder_says_which_of_its_images_are_partly_labelled(make_folder: Make) -> None:
    root = make_folder(11)
    names = ["ground", "disc", "square", "triangle", "ring"]
    describe = {"classes": names, "labelled": {"scene_1": names[:2], "scene_10": names[:3]}}
    (root / "dataset.yaml").write_text(yaml.safe_dump(describe))
    spec = open_dataset(root)
    assert spec.labelled is not None
    known = {item.id: sum(spec.labelled[item.source]) for items in spec.splits.values() for item in items}
    assert known == {f"scene_{i}": {1: 2, 10: 3}.get(i, 5) for i in range(11)}
    for labelled, message in (
        ({"scene_1": ["boat"]}, "names class 'boat', which classes does not"),
        ({"scene_1": []}, "names no class for some"),
        ({"site_b": ["disc"]}, "begin with 'site_b', but none does; the first is 'scene_"),
    ):
        (root / "dataset.yaml").write_text(yaml.safe_dump({**describe, "labelled": labelled}))
        with pytest.raises(DataError, match=message):
            open_dataset(root)


def test_labels_that_labelled_does_not_name_are_refused(
    make_folder: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = make_folder(6)
    names = ["ground", "disc", "square", "triangle", "ring"]
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": names, "labelled": {"scene_2": ["ground"]}}))
    assert run(["check", str(root)]) == 3
    assert "which 'labelled' in dataset.yaml does not name for this image" in capsys.readouterr().out.replace("\n", " ")
    out = tmp_path / "run"
    options = ["--encoder", "resnet10t", "--epochs", "1", "--workers", "0", "--crop", "32", "32"]
    assert run(["train", str(root), "--out", str(out), *options]) == 3
    assert not out.exists()
