"""Which JSON files are COCO's, and of which split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.coco import (
    ROOF,
    SECOND,
    build,
    roofs,
    write,
)
from tests.builders.commands import checked, converted
from tests.builders.folders import picture


def test_one_file_in_each_split_folder(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for part, ids in (("train", (5, 9)), ("valid", (8,)), ("test", (5,))):
        write(root / part / "_annotations.coco.json", root / part, ids)
    spec = open_dataset(root)
    assert {name: len(items) for name, items in spec.splits.items()} == {"train": 2, "val": 1, "test": 1}
    np.testing.assert_array_equal(read_sample(spec, spec.split("val")[0]).labels, SECOND)


def test_other_json_files_are_not_taken_for_it(tmp_path: Path) -> None:
    root = build(tmp_path / "photos")
    (root / "annotations" / "instances_train2017.json").unlink()
    (root / "annotations" / "instances_val2017.json").unlink()
    for text in ("[1, 2]", '{"images": [], "regions": {"a": [{}]}}'):
        (root / "annotations.json").write_text(text)
        with pytest.raises(DataError, match="no data set recognised"):
            open_dataset(root)


@pytest.mark.parametrize("name", ["result.json", "my roofs.json", "annotations/labels.json"])
def test_one_file_of_any_name(tmp_path: Path, name: str) -> None:
    root = tmp_path / "photos"
    (root / name).parent.mkdir(parents=True)
    write(root / name, root / "images", (5, 8))
    (root / "notes.json").write_text(json.dumps({"images": ["a", "b"], "info": "another program's"}))
    spec = open_dataset(root)
    assert (spec.layout, {split: len(items) for split, items in spec.splits.items()}) == (
        "coco",
        {"train": 1, "val": 1},
    )
    assert spec.licence == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("annotations/train.json", "annotations/valid.json"),
        ("annotations/instances_train.json", "annotations/instances_Validation.json"),
        ("Annotations/Instances_TRAIN.json", "Annotations/instances_Val2017.JSON"),
        ("annotations/instances_train.json", "annotations/my_val.json"),
        ("train_coco.json", "val_coco.json"),
        ("train/labels.json", "valid/labels.json"),
        ("Train2024.json", "val2024.json"),
    ],
)
def test_names_and_folders_say_the_split(tmp_path: Path, first: str, second: str) -> None:
    root = tmp_path / "photos"
    for name, ids in ((first, (5, 9)), (second, (8,))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(root / name, root / "images", ids)
    spec = open_dataset(root)
    assert {split: [item.id[-1] for item in items] for split, items in spec.splits.items()} == {
        "train": ["5", "9"], "val": ["8"],
    }  # fmt: skip


def test_a_file_of_no_split_is_said_or_used(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    notes = root / "annotations"
    notes.mkdir(parents=True)
    write(notes / "instances_train.json", root / "images", (5,))
    write(notes / "instances_default.json", root / "images", (8, 9))
    spec = open_dataset(root)
    said = "instances_default.json: of no split by its name, 2 images left out: another file is named train"
    assert said in spec.reasons
    assert sum(len(items) for items in spec.splits.values()) == 2  # the one of train is both train and val
    (notes / "instances_train.json").rename(notes / "instances_val.json")
    spec = open_dataset(root)
    assert {split: len(items) for split, items in spec.splits.items()} == {"val": 1, "train": 2}
    assert any("no subset is named train" in reason for reason in spec.reasons)


def test_files_of_parts_are_joined_and_copies_refused(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    write(root / "north.json", root / "images", (5,))
    write(root / "south.json", root / "images", (8, 9))
    assert sum(len(items) for items in open_dataset(root).splits.values()) == 3
    write(root / "backup.json", root / "images", (5,))
    with pytest.raises(DataError, match="1 image is named twice, in one JSON file or in two"):
        open_dataset(root)


def test_coco_under_the_name_of_label_studio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
    roofs(root / "result.json", [f"images/{number}.png" for number in range(6)])
    found = checked(root, capsys)
    assert (found["layout"], found["classes"], found["licence"]) == ("coco", ["background", "roof"], "")
    names, counts, _ = converted(root, capsys)
    assert names == ["background", "roof"]
    assert {tuple(row) for row in counts} == {(1024 - ROOF, ROOF)}


def test_coco_of_two_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
    roofs(root / "annotations" / "train.json", [f"{number}.png" for number in range(4)])
    roofs(root / "annotations" / "valid.json", [f"{number}.png" for number in (4, 5)])
    assert checked(root, capsys)["images"] == {"train": 4, "val": 2}
    assert {tuple(row) for row in converted(root, capsys)[1]} == {(1024 - ROOF, ROOF)}
