"""Plain folders: two folders of images and masks, or both side by side."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.checking.check import check
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked, converted
from tests.builders.folders import THREE, Make, describe, mask_file, picture, side_by_side, small_pair
from tests.builders.images import save_mask


def test_a_val_folder_of_another_form_is_not_dropped(tmp_path: Path) -> None:
    for i in range(3):
        small_pair(tmp_path / "train", str(i), i)
        small_pair(tmp_path / "val", str(i), i, masks="mask_png")
    with pytest.raises(DataError, match="val: has no folders images and masks, unlike another split"):
        open_dataset(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    small_pair(tmp_path, "0", 0)
    small_pair(tmp_path, "1", 1)
    Image.new("RGB", (20, 16)).save(tmp_path / "images" / "0.jpg")
    with pytest.raises(DataError, match=r"0\.jpg and 0\.png have one name"):
        open_dataset(tmp_path)


def test_images_to_predict_without_masks_do_not_stop_the_rest(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / kind / split).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (20, 16)).save(tmp_path / "images" / split / f"{i}.png")
            Image.new("L", (20, 16), i).save(tmp_path / "masks" / split / f"{i}.png")
    (tmp_path / "images" / "test").mkdir()
    Image.new("RGB", (20, 16)).save(tmp_path / "images" / "test" / "0.png")
    spec = open_dataset(tmp_path)
    assert set(spec.splits) == {"train", "val"}
    assert any("images/test has no masks and is left out" in reason for reason in spec.reasons)


def test_a_folder_above_side_by_side_data_is_not_the_data(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        side_by_side(tmp_path / "above" / "export" / split)
    spec = open_dataset(tmp_path / "above")
    assert (spec.root.name, {split: len(items) for split, items in spec.splits.items()}) == (
        "export", {"train": 6, "val": 6},
    )  # fmt: skip
    side_by_side(tmp_path / "two" / "a")
    side_by_side(tmp_path / "two" / "b")
    with pytest.raises(DataError, match="holds several data sets"):
        open_dataset(tmp_path / "two")
    side_by_side(tmp_path / "only" / "val")
    assert list(open_dataset(tmp_path / "only").splits) == ["val"]


def test_what_has_no_mask_or_no_image_side_by_side_is_named(tmp_path: Path) -> None:
    root = side_by_side(tmp_path / "faces", [*"abcdefg", "face_mask"])
    assert {item.image.path.stem for split in open_dataset(root).splits.values() for item in split} == {
        *"abcdefg", "face_mask",
    }  # fmt: skip
    (root / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"1 mask has no image \(a_mask\.png\)"):
        open_dataset(root)
    shutil.copy(root / "b.jpg", root / "a.jpg")
    shutil.copy(root / "c_mask.png", root / "c.png")
    with pytest.raises(DataError, match=r"c\.png have one name with others"):
        open_dataset(root)
    (root / "c.png").unlink()
    (root / "d_mask.png").unlink()
    with pytest.raises(DataError, match=r"1 of 8 images have no mask \(d\.jpg"):
        open_dataset(root)
    for split in ("train", "val"):
        side_by_side(tmp_path / "parts" / split)
    for path in (tmp_path / "parts" / "val").glob("*_mask.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"val: holds images, but no masks, unlike the other split"):
        open_dataset(tmp_path / "parts")
    lists = side_by_side(tmp_path / "lists")
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "Valid.TXT").write_text("c\n")  # whatever its case
    assert {split: len(items) for split, items in open_dataset(lists).splits.items()} == {"train": 2, "val": 1}


def test_val_alone_in_a_folder_is_val(make_folder: Make) -> None:
    root = make_folder(4, name="data/val").parent
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"val": 4}
    make_folder(2, name="data/test")
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"val": 4, "test": 2}


def test_linked_folders_are_read(make_folder: Make, tmp_path: Path) -> None:
    source = make_folder(3)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        (tmp_path / "data" / kind / "b").symlink_to(source / kind)
        (source / kind / "loop").symlink_to(source / kind)
    assert sum(len(items) for items in open_dataset(tmp_path / "data").splits.values()) == 3


def test_names_from_macos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / unicodedata.normalize("NFC", f"été{number}.png"), number)
        mask_file(root / "masks" / unicodedata.normalize("NFD", f"été{number}.png"))
    (root / "train.txt").write_text(unicodedata.normalize("NFC", "été0\nété1\nété2\nété3\n"), encoding="utf-8")
    (root / "val.txt").write_text(unicodedata.normalize("NFD", "été4\nété5\n"), encoding="utf-8")
    assert checked(root, capsys)["images"] == {"train": 4, "val": 2}
    assert converted(root, capsys)[1] == [THREE] * 6


@pytest.mark.parametrize(
    ("image", "mask"),
    [("train/{}_sat.jpg", "train/{}_mask.png"), ("images/img_{}.png", "masks/mask_{}.png")],
    ids=["side by side", "a prefix on both sides"],
)
def test_words_in_names_tell_masks_from_images(
    image: str, mask: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / image.format(number), number)
        mask_file(root / mask.format(number))
    assert "masks are known by the word 'mask' in their names" in str(checked(root, capsys)["printed"])
    assert converted(root, capsys)[1] == [THREE] * 6
    (root / mask.format(5)).unlink()
    name = (root / image.format(5)).name
    assert f"1 of 6 images have no mask ({name}" in str(checked(root, capsys, code=3)["printed"])


def test_plain_folders_are_paired_by_name_and_split_by_a_rule(make_folder: Make) -> None:
    root = make_folder(10)
    spec = open_dataset(root)
    assert (spec.layout, len(spec.split("train")), len(spec.split("val"))) == ("folder", 8, 2)
    assert any("SHA-256" in reason for reason in spec.reasons)
    assert spec.classes.names == tuple(f"class_{i}" for i in range(5))
    assert not spec.declared
    # a file more does not move the others between train and val, but for the count itself
    before = {item.id for item in spec.split("val")}
    shutil.copy(root / "images" / "scene_0.png", root / "images" / "zzz.png")
    shutil.copy(root / "masks" / "scene_0.png", root / "masks" / "zzz.png")
    after = {item.id for item in open_dataset(root).split("val")}
    assert len(after - before) <= 1


def test_suffixes_split_folders_and_class_files(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for split in ("train", "valid"):
        part = make_folder(3, name=f"split/{split}")
        for mask in (part / "masks").iterdir():
            mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    (root / "classes.txt").write_text("ground\ndisc\nsquare\ntriangle\nring\n")
    spec = open_dataset(root)
    assert {name: len(items) for name, items in spec.splits.items()} == {"train": 3, "val": 3}
    assert spec.classes.names[1] == "disc"


def test_images_train_masks_train(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "nested"
    for split in ("train", "val"):
        part = make_folder(2, name=f"part_{split}")
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            (part / kind).rename(root / kind / split)
    spec = open_dataset(root)
    assert {name: len(items) for name, items in spec.splits.items()} == {"train": 2, "val": 2}


def test_splits_may_use_the_same_names_for_other_images(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for split, largest in (("train", 4), ("val", 1)):
        part = make_folder(2, name=f"split/{split}")
        for mask in (part / "masks").iterdir():
            save_mask(mask, np.full((48, 64), largest))
    spec = open_dataset(root)
    assert len(spec.classes) == 5
    assert not any("in train and in val" in note for note in check(spec).notes)


def test_images_and_masks_side_by_side(make_folder: Make) -> None:
    source = make_folder(6)
    for name in ("images", "masks"):
        for path in (source / name).iterdir():
            ending = "_mask" if name == "masks" else ""
            path.rename(source / f"case_{path.stem}{ending}.png")
        (source / name).rmdir()
    spec = open_dataset(source)
    assert "images and masks side by side, paired by name" in spec.reasons
    item = spec.split("train")[0]
    assert item.annotation.path.name == f"{item.image.path.stem}_mask.png"
    for path in source.glob("*_mask.png"):
        path.rename(path.with_name(path.name.replace("_mask", ".extra")))
    with pytest.raises(DataError, match="no data set recognised"):
        open_dataset(source)
    describe(source, mask_suffix=".extra")
    assert len(open_dataset(source).split("train")) == 5
    next(source.glob("*.extra.png")).unlink()
    with pytest.raises(DataError, match="1 of 6 images have no mask"):
        open_dataset(source)
