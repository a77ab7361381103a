from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from fullconv.cli.main import run
from fullconv.data import DatasetSpec, read_sample
from fullconv.errors import DataError, UsageError
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.formats.write import TARGETS


@pytest.fixture
def data(make_folder: Callable[..., Path]) -> Path:
    """Plain folder with void (id 4) and classes of Cityscapes' names."""
    root = make_folder(6)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["background", "road", "Car", "sky"], "ignore": [4]}))
    return root


def labels_of(spec: DatasetSpec, split: str) -> list[np.ndarray]:
    return [read_sample(spec, item).labels for item in spec.split(split)]


@pytest.mark.parametrize("to", sorted(TARGETS))
def test_back_again_the_labels_are_the_same(to: str, data: Path, tmp_path: Path) -> None:
    before = open_dataset(data)
    result = convert(data, tmp_path / "out", to)
    after = open_dataset(tmp_path / "out")
    assert result.images == {"train": 5, "val": 1}
    assert after.layout == {"voc": "cvat_mask"}.get(to, to)
    names = [name.casefold() for name in after.classes.names]
    for split in ("train", "val"):
        assert len(after.split(split)) == len(before.split(split))
        for item, other in zip(before.split(split), after.split(split), strict=True):
            ours, theirs = read_sample(before, item), read_sample(after, other)
            np.testing.assert_array_equal(ours.image, theirs.image)
            for index, name in enumerate(before.classes.names):
                mask = ours.labels == index
                if to == "cityscapes" and name == "background":
                    assert (theirs.labels[mask] == 255).all()  # none of its classes, as its notes say
                else:
                    assert (theirs.labels[mask] == names.index(name.casefold())).all()
            void = ours.labels == 255
            assert (theirs.labels[void] == (names.index("background") if to == "coco" else 255)).all()
    if to in ("folder", "voc", "webdataset"):
        assert after.classes.names == before.classes.names
        assert after.classes.palette == before.classes.palette
    said = " ".join(result.notes)
    for words in {"coco": ["no void", "no colours"], "cityscapes": ["void now: background"], "voc": ["labelmap"]}.get(
        to, []
    ):
        assert words in said


def test_real_data_converts_and_comes_back(shared: Path, tmp_path: Path) -> None:
    for name in ("voc_sample", "kitti_road", "labelme", "coco_polygons", "camvid"):
        source = open_dataset(shared / "data" / name)
        few = {split: items[:3] for split, items in source.splits.items()}
        source = dataclasses.replace(source, splits=few)
        for to in ("folder", "voc"):
            out = tmp_path / f"{name}-{to}"
            convert(source, out, to)
            again = open_dataset(out)
            assert [name.casefold() for name in again.classes.names] == [n.casefold() for n in source.classes.names]
            for split in source.splits:
                for ours, theirs in zip(labels_of(source, split), labels_of(again, split), strict=True):
                    np.testing.assert_array_equal(ours, theirs)


def test_labelme_becomes_voc_as_published(shared: Path, tmp_path: Path) -> None:
    """LabelMe's polygons against VOC's own masks of the same images, where VOC has labels."""
    convert(shared / "data" / "labelme", tmp_path / "out", "voc")
    ours = {item.id: item for items in open_dataset(tmp_path / "out").splits.values() for item in items}
    voc = open_dataset(shared / "data" / "voc_sample")
    agreements = []
    for items in voc.splits.values():
        for item in items:
            if item.id in ours:
                truth = read_sample(voc, item).labels
                drawn = read_sample(open_dataset(tmp_path / "out"), ours[item.id]).labels
                agreements.append((truth == drawn)[truth != 255].mean())
    assert len(agreements) == 3
    assert min(agreements) > 0.979
    assert max(agreements) > 0.998


def test_the_command_and_its_complaints(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["convert", str(data), str(out), "--to", "coco"]) == 0
    assert "5 train, 1 val" in capsys.readouterr().out
    assert run(["convert", str(data), str(out)]) == 2
    assert "exists; choose another folder" in capsys.readouterr().err
    assert run(["convert", str(data), str(tmp_path / "x"), "--to", "tfrecord"]) == 2
    assert "there are folder, voc, cityscapes, coco" in capsys.readouterr().err
    with pytest.raises(UsageError, match="none of the classes"):
        convert("shapes:train=1,val=1", tmp_path / "x", "cityscapes")
    (data / "masks" / "scene_0.png").write_bytes(b"no")
    with pytest.raises(DataError):
        convert(data, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert not list(tmp_path.glob(".converting-*"))


def test_scenes_and_mixtures_are_written_too(tmp_path: Path) -> None:
    source = "shapes:height=20,width=30,train=3,val=1,bands=5"
    convert(source, tmp_path / "five")
    again = open_dataset(tmp_path / "five")
    assert again.channels == 5
    np.testing.assert_array_equal(
        read_sample(again, again.split("train")[0]).image,
        read_sample(open_dataset(source), open_dataset(source).split("train")[0]).image,
    )
    convert("shapes:height=20,width=30,train=2,val=1+shapes:height=20,width=30,train=2,val=1", tmp_path / "both")
    assert len(open_dataset(tmp_path / "both").split("train")) == 4
