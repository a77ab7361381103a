"""Lists of the images of each split."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make


@pytest.mark.parametrize("name", ["/etc/secret", "../secret"])
def test_lists_that_lead_outside_are_refused(name: str, tmp_path: Path) -> None:
    for folder in ("images", "annotations/trimaps"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "annotations" / "trainval.txt").write_text(f"{name} 1 1 1\n")
    with pytest.raises(DataError, match="outside the data's folder; refused"):
        open_dataset(tmp_path)


def test_lists_in_dataset_yaml_count_where_there_are_split_folders(make_folder: Make, tmp_path: Path) -> None:
    source, root = make_folder(4), tmp_path / "data"
    for kind in ("images", "masks"):
        for split, indices in (("train", (0, 1)), ("extra", (2, 3))):
            (root / kind / split).mkdir(parents=True)
            for index in indices:
                shutil.copy(source / kind / f"scene_{index}.png", root / kind / split)
    spec = open_dataset(root)
    assert sum(len(items) for items in spec.splits.values()) == 2
    assert any("in no split and left out: extra" in reason for reason in spec.reasons)
    (root / "dataset.yaml").write_text("splits: {train: a.txt, val: b.txt}")
    with pytest.raises(DataError, match=r"a\.txt: split 'train' is said to be listed there"):
        open_dataset(root)
    (root / "a.txt").write_text("train/scene_0.png\nscene_2\n")
    (root / "b.txt").write_text("extra/scene_3\n")
    assert [item.id for item in open_dataset(root).split("train")] == ["train/scene_0", "extra/scene_2"]
    (root / "b.txt").write_text("elsewhere/scene_3\n")
    with pytest.raises(DataError, match="name no image"):
        open_dataset(root)
    shutil.copytree(make_folder(2, name="more"), tmp_path / "parts" / "train")
    (tmp_path / "parts" / "dataset.yaml").write_text("splits: {train: a.txt}")
    with pytest.raises(DataError, match="are folders of their own; remove splits"):
        open_dataset(tmp_path / "parts")


def test_lists_name_exactly_what_they_say(make_folder: Make) -> None:
    root = make_folder(3)
    for kind in ("images", "masks"):
        for old, new in (("scene_0", "scan"), ("scene_1", "scan.jpg"), ("scene_2", "my photo")):
            (root / kind / f"{old}.png").rename(root / kind / f"{new}.png")
        shutil.copy(root / kind / "scan.png", root / kind / "my.png")
    (root / "train.txt").write_text("scan.jpg\nmy photo.png\nphotos/images/my.png\n")
    (root / "val.txt").write_text("scan 0.5\n")
    spec = open_dataset(root)
    assert [item.id for item in spec.split("train")] == ["scan.jpg", "my photo", "my"]
    assert [item.id for item in spec.split("val")] == ["scan"]
    for kind in ("images", "masks"):
        for site in ("a", "b"):
            (root / kind / site).mkdir()
            shutil.copy(root / kind / "my.png", root / kind / site / "twice.png")
    (root / "val.txt").write_text("twice\n")
    with pytest.raises(DataError, match="twice names several images"):
        open_dataset(root)


def test_split_lists(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "train.txt").write_text("scene_0\nimages/scene_1.png masks/scene_1.png\n")
    (root / "val.txt").write_text("scene_2.png\n")
    spec = open_dataset(root)
    assert [item.id for item in spec.split("train")] == ["scene_0", "scene_1"]
    assert [item.id for item in spec.split("val")] == ["scene_2"]
    (root / "val.txt").write_text("scene_9\n")
    with pytest.raises(DataError, match=r"1 of 1 entries name no image with a mask \(scene_9\)"):
        open_dataset(root)
    (root / "val.txt").write_text("")
    with pytest.raises(DataError, match="split 'val' is empty"):
        open_dataset(root).split("val")
