"""VOC's folders, as published and with people's own data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.palette import voc_palette
from fullconv.spec import ClassSet
from tests.builders.commands import checked, converted
from tests.builders.folders import MASK, Make, describe, picture


def test_voc_with_trainval_alone_is_divided_and_empty_lists_are_refused(make_folder: Make, tmp_path: Path) -> None:
    source, root = make_folder(5), tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index in range(5):
        shutil.copy(source / "images" / f"scene_{index}.png", root / "JPEGImages" / f"2007_00000{index}.png")
        shutil.copy(source / "masks" / f"scene_{index}.png", root / "SegmentationClass" / f"2007_00000{index}.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "trainval.txt").write_text("".join(f"2007_00000{index}\n" for index in range(5)))
    (root / "SegmentationClass" / "2007_000002.png").write_bytes(b"no picture")
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"train": 4, "val": 1}
    for split in ("train", "val", "test"):
        (lists / f"{split}.txt").write_text("")
    with pytest.raises(DataError, match="no image is in any split"):
        open_dataset(root)


@pytest.mark.parametrize("lists", [True, False])
def test_own_data_in_voc_form(tmp_path: Path, lists: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "JPEGImages" / f"00000{number}.jpg", number)
        palette = Image.fromarray((MASK > 0).astype(np.uint8))
        palette.putpalette([0, 0, 0, 128, 0, 0])
        (root / "SegmentationClass").mkdir(exist_ok=True)
        palette.save(root / "SegmentationClass" / f"00000{number}.png")
    (root / "class_names.txt").write_text("_background_\nemergency_light\n")
    if lists:  # without them, as labelme2voc writes it
        (root / "ImageSets" / "Segmentation").mkdir(parents=True)
        for split, numbers in (("train", range(4)), ("val", range(4, 6))):
            listing = root / "ImageSets" / "Segmentation" / f"{split}.txt"
            listing.write_text("".join(f"00000{number}\n" for number in numbers))
    found = checked(root, capsys)
    assert found["classes"] == ["_background_", "emergency_light"]
    assert found["licence"] == ""
    assert found["images"] == ({"train": 4, "val": 2} if lists else {"train": 5, "val": 1})
    assert converted(root, capsys)[:2] == (["_background_", "emergency_light"], [[616, 408]] * 6)


def test_rgb_masks_in_voc_s_colours_and_names_that_are_not_voc_s(make_folder: Make, tmp_path: Path) -> None:
    source, root = make_folder(4), tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    palette = np.array([*voc_palette(5), (224, 224, 192)], np.uint8)
    for index in range(4):
        shutil.copy(source / "images" / f"scene_{index}.png", root / "JPEGImages" / f"{index}.png")
        with Image.open(source / "masks" / f"scene_{index}.png") as picture:
            mask = np.asarray(picture).copy()
        mask[0] = len(palette) - 1
        Image.fromarray(palette[mask]).save(root / "SegmentationClass" / f"{index}.png")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n3\n")
    spec = open_dataset(root)
    assert (spec.layout, spec.licence) == ("voc", "")
    assert "RGB masks, in VOC's colours" in spec.reasons
    assert "its files are not VOC's own: class names and licence are not known" in spec.reasons[0]
    assert spec.classes.names == tuple(f"class_{index}" for index in range(5))
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert set(np.unique(labels)) <= {0, 1, 2, 3, 4, 255}
    assert (labels[0] == 255).all()
    assert spec.classes.palette == voc_palette(5)
    describe(root, classes=["a", "b", "c", "d", "e"])
    assert open_dataset(root).classes == ClassSet(tuple("abcde"), voc_palette(5))
