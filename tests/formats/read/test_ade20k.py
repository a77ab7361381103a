from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read import ADE20K_CLASSES
from tests.builders.ade20k import RAW, info

PARTS = {"training": ("ADE_train_00000001", "ADE_train_00000002"), "validation": ("ADE_val_00000001",)}
IDS = np.array([[255, 0, 1, 12], [149, 148, 255, 20]])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ADEChallengeData2016"
    for part, names in PARTS.items():
        for kind in ("images", "annotations"):
            (root / kind / part).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (4, 2), (9, 8, 7)).save(root / "images" / part / f"{name}.jpg")
            Image.fromarray(RAW).save(root / "annotations" / part / f"{name}.png")
    return root


def test_ids_splits_and_classes(root: Path) -> None:
    spec = open_dataset(root)
    assert (spec.layout, spec.declared) == ("ade20k", True)
    assert {name: [item.id for item in items] for name, items in spec.splits.items()} == {
        "train": list(PARTS["training"]),
        "val": list(PARTS["validation"]),
    }
    for split in spec.splits:
        for item in spec.split(split):
            np.testing.assert_array_equal(read_sample(spec, item).labels, IDS)
    assert len(spec.classes) == 150
    assert spec.classes.names[:3] == ("wall", "building", "sky")
    assert (spec.classes.names[12], spec.classes.names[89], spec.classes.names[149]) == ("person", "television", "flag")
    assert (spec.classes.palette[0], spec.classes.palette[149]) == ((120, 120, 120), (92, 0, 255))
    assert "class names: the first of each class's synonyms, from the challenge's own table" in spec.reasons


def test_names_of_the_folder_win(root: Path) -> None:
    names = [f"{name}, synonym {name}" for name in ADE20K_CLASSES.names]
    names[7] = "berth , bunk"
    (root / "objectInfo150.txt").write_text(info(names))
    spec = open_dataset(root)
    assert spec.classes.names == (*ADE20K_CLASSES.names[:7], "berth", *ADE20K_CLASSES.names[8:])
    assert spec.classes.palette == ADE20K_CLASSES.palette
    assert any(reason.endswith("from objectInfo150.txt") for reason in spec.reasons)


def test_a_damaged_list_of_names_is_refused(root: Path) -> None:
    (root / "objectInfo150.txt").write_text(info(list(ADE20K_CLASSES.names[:149])))
    with pytest.raises(DataError, match=r"objectInfo150.txt: lists 149 classes; expected .* each of 1 to 150"):
        open_dataset(root)
    (root / "objectInfo150.txt").write_text(info(["wall", "wall, partition", *ADE20K_CLASSES.names[2:]]))
    with pytest.raises(DataError, match="names two classes 'wall'"):
        open_dataset(root)


def test_missing_masks_and_strange_values_are_named(root: Path) -> None:
    Image.fromarray(RAW + np.uint8(5)).save(root / "annotations" / "validation" / "ADE_val_00000001.png")
    spec = open_dataset(root)
    with pytest.raises(DataError, match=r"ADE_val_00000001.png: holds ids 154, 155 .* expected 0 to 150"):
        read_sample(spec, spec.split("val")[0])
    (root / "annotations" / "training" / "ADE_train_00000002.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 listed files are missing \(ADE_train_00000002.png\)"):
        open_dataset(root)


def test_a_split_without_masks(root: Path) -> None:
    (root / "images" / "testing").mkdir()
    Image.new("RGB", (4, 2)).save(root / "images" / "testing" / "ADE_test_00000001.jpg")
    spec = open_dataset(root)
    assert "images/testing has no annotations and is left out" in spec.reasons
    assert set(spec.splits) == {"train", "val"}
    (root / "annotations" / "validation").rename(root / "elsewhere")
    with pytest.raises(DataError, match=r"images.validation holds images, but .*annotations.validation is missing"):
        open_dataset(root)


def test_other_folders_of_these_names_are_not_taken_for_it(root: Path) -> None:
    for path in [*root.glob("images/*/*"), *root.glob("annotations/*/*")]:
        path.rename(path.with_name(path.name.removeprefix("ADE_")))
    for path in root.glob("annotations/*/*"):
        Image.fromarray(RAW % 3).save(path)
    assert open_dataset(root).layout == "folder"
