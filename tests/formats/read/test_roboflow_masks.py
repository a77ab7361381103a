from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.checking.check import check
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import side_by_side
from tests.builders.images import save_mask

LISTING = "Pixel Value, Class\n0, background\n1, leaf \n3, stem\n"


def write(folder: Path, count: int, listing: str = LISTING) -> None:
    folder.mkdir(parents=True)
    (folder / "_classes.csv").write_text(listing)
    for index in range(count):
        image = np.full((6, 8, 3), 30 * index + len(folder.name), np.uint8)
        image[index] = 200
        Image.fromarray(image).save(folder / f"photo_{index}_jpg.rf.abc.jpg")
        mask = np.zeros((6, 8))
        mask[:, index] = 1
        mask[index] = 3
        save_mask(folder / f"photo_{index}_jpg.rf.abc_mask.png", mask)


def test_values_splits_and_classes(tmp_path: Path) -> None:
    for folder, count in (("train", 4), ("valid", 2), ("test", 1)):
        write(tmp_path / folder, count)
    spec = open_dataset(tmp_path)
    assert (spec.layout, spec.classes.names) == ("roboflow_masks", ("background", "leaf", "stem"))
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 4, "val": 2, "test": 1}
    labels = read_sample(spec, spec.split("train")[1]).labels
    expected = np.zeros((6, 8))
    expected[:, 1] = 1
    expected[1] = 2
    np.testing.assert_array_equal(labels, expected)
    assert not check(spec).problems


def test_one_folder_is_divided_by_the_rule(tmp_path: Path) -> None:
    write(tmp_path / "export", 5)
    spec = open_dataset(tmp_path / "export")
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 4, "val": 1}


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a" / "train", 2)
    write(tmp_path / "a" / "valid", 2, LISTING.replace("stem", "root"))
    with pytest.raises(DataError, match="has other classes than"):
        open_dataset(tmp_path / "a")
    write(tmp_path / "b" / "train", 3)
    (tmp_path / "b" / "train" / "photo_2_jpg.rf.abc_mask.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images have no mask \(photo_2_jpg\.rf\.abc\.jpg; expected names"):
        open_dataset(tmp_path / "b")
    write(tmp_path / "c", 2, "Pixel Value, Class\nzero, background\n")
    with pytest.raises(DataError, match="expected lines 'Pixel Value, Class'"):
        open_dataset(tmp_path / "c")
    write(tmp_path / "d", 2, "filename, cat, dog\nphoto_0.jpg, 1, 0\n")  # a classification export
    assert open_dataset(tmp_path / "d").layout == "folder"


def test_255_may_be_a_class_of_roboflow(tmp_path: Path) -> None:
    root = side_by_side(tmp_path / "train")
    with Image.open(root / "a_mask.png") as picture:
        values = np.asarray(picture)
    Image.fromarray(np.where(values == 2, 255, values).astype(np.uint8)).save(root / "a_mask.png")
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n1, leaf\n2, root\n255, stem\n")
    spec = open_dataset(tmp_path)
    item = next(item for split in spec.splits.values() for item in split if item.id == "a")
    np.testing.assert_array_equal(read_sample(spec, item).labels == 3, values == 2)
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n300, stem\n")
    with pytest.raises(DataError, match="values from 0 to 300; expected 0 to 255"):
        open_dataset(tmp_path)
