"""Plain folders: two folders of images and masks, or both side by side."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked, converted
from tests.builders.folders import THREE, Make, mask, picture, side_by_side, small_pair


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
    root = side_by_side(tmp_path / "faces", [*"abcdefg", "face_mask"])  # type: ignore[arg-type]
    assert {item.image.stem for split in open_dataset(root).splits.values() for item in split} == {
        *"abcdefg", "face_mask",
    }  # fmt: skip
    (root / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"1 masks have no image \(a_mask\.png\)"):
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
        mask(root / "masks" / unicodedata.normalize("NFD", f"été{number}.png"))
    (root / "train.txt").write_text(unicodedata.normalize("NFC", "été0\nété1\nété2\nété3\n"), encoding="utf-8")
    (root / "val.txt").write_text(unicodedata.normalize("NFD", "été4\nété5\n"), encoding="utf-8")
    assert checked(root, capsys)["images"] == {"train": 4, "val": 2}
    assert converted(root, capsys)[1] == [THREE] * 6


def test_satellite_images_and_masks_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "train" / f"{number}_sat.jpg", number)
        mask(root / "train" / f"{number}_mask.png")
    assert "masks are known by the word 'mask' in their names" in str(checked(root, capsys)["printed"])
    assert converted(root, capsys)[1] == [THREE] * 6


def test_a_prefix_on_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"img_{number}.png", number)
        mask(root / "masks" / f"mask_{number}.png")
    assert "masks are known by the word 'mask' in their names" in str(checked(root, capsys)["printed"])
    assert converted(root, capsys)[1] == [THREE] * 6
    (root / "masks" / "mask_5.png").unlink()
    assert "1 of 6 images have no mask (img_5.png)" in str(checked(root, capsys, code=3)["printed"])
