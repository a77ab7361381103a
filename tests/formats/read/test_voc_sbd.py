from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make
from tests.builders.images import save_mask
from tests.builders.sbd import SCENES, write_sbd


def write_voc(root: Path, train: range, val: range) -> dict[str, np.ndarray]:
    """VOC's folder; its masks differ from SBD's of the same image: they have a void row."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    labels = {}
    for index in (*train, *val):
        image, ids = SCENES.draw(index)
        ids[0] = 255
        labels[f"p{index}"] = ids
        Image.fromarray(image).save(root / "JPEGImages" / f"p{index}.jpg")
        save_mask(root / "SegmentationClass" / f"p{index}.png", ids)
    for name, part in (("train", train), ("val", val)):
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("".join(f"p{i}\n" for i in part))
    return labels


def ids(items) -> list[str]:
    return [item.id for item in items]


@pytest.mark.parametrize("sbd", ["sbd", "benchmark_RELEASE/dataset", "contours/dataset"])
@pytest.mark.parametrize("voc", ["VOCdevkit/VOC2011", "VOC2011"])
def test_the_two_are_joined(voc: str, sbd: str, tmp_path: Path) -> None:
    # SBD: train 0..3, val 4..5; VOC: train 2 and 6, val 3, 5 and 7
    contours = write_sbd(tmp_path / sbd, range(4), range(4, 6))
    own = write_voc(tmp_path / voc, range(2, 8, 4), range(3, 8, 2))
    spec = open_dataset(tmp_path)
    assert (spec.layout, len(spec.classes), spec.classes.ignore_index) == ("voc_sbd", 21, 255)
    assert ids(spec.split("train")) == ["p0", "p1", "p2", "p4", "p6"]
    assert ids(spec.split("val")) == ["p3", "p5", "p7"]
    assert ids(spec.split("seg11valid")) == ["p5", "p7"]  # p3 is in SBD's train, p5 in its val only
    assert any("seg11valid" in reason and "2 images" in reason for reason in spec.reasons)
    for item in spec.split("train"):
        expected = own[item.id] if item.id in own else contours[item.id]
        np.testing.assert_array_equal(read_sample(spec, item).labels, expected)
    for item in spec.split("val"):
        np.testing.assert_array_equal(read_sample(spec, item).labels, own[item.id])


def test_of_several_voc_folders_the_latest_is_used(tmp_path: Path) -> None:
    write_sbd(tmp_path / "sbd", range(2), range(2, 3))
    write_voc(tmp_path / "VOCdevkit" / "VOC2007", range(4, 6), range(6, 7))
    write_voc(tmp_path / "VOCdevkit" / "VOC2012", range(7, 8), range(8, 10))
    spec = open_dataset(tmp_path)
    assert ids(spec.split("val")) == ["p8", "p9"]
    assert any("left out: VOC2007" in reason for reason in spec.reasons)


def test_plain_voc_and_plain_sbd_stay_what_they_are(tmp_path: Path) -> None:
    write_voc(tmp_path / "a" / "VOCdevkit" / "VOC2012", range(2), range(2, 3))
    write_sbd(tmp_path / "b" / "sbd", range(2), range(2, 3))
    assert open_dataset(tmp_path / "a").layout == "voc"
    assert open_dataset(tmp_path / "b").layout == "sbd"
    # the VOC folder itself is plain VOC, even with SBD inside
    write_sbd(tmp_path / "a" / "VOCdevkit" / "VOC2012" / "sbd", range(5), range(5, 6))
    spec = open_dataset(tmp_path / "a" / "VOCdevkit" / "VOC2012")
    assert (spec.layout, ids(spec.split("train"))) == ("voc", ["p0", "p1"])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_sbd(tmp_path / "sbd", range(2), range(2, 3))
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    write_voc(voc, range(2), range(2, 3))
    (voc / "SegmentationClass" / "p2.png").unlink()
    with pytest.raises(DataError, match=r"SegmentationClass: 1 of 1 listed files are missing \(p2\.png\)"):
        open_dataset(tmp_path)
    (voc / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt: no such file; VOC's train\.txt and val\.txt are both needed"):
        open_dataset(tmp_path)


def test_voc_with_sbd_s_masks(make_folder: Make, tmp_path: Path) -> None:
    source = make_folder(6)
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index in range(6):
        with Image.open(source / "images" / f"scene_{index}.png") as image:
            image.save(root / "JPEGImages" / f"p{index}.jpg")
        mask = source / "masks" / f"scene_{index}.png"
        if index < 3:
            shutil.copy(mask, root / "SegmentationClass" / f"p{index}.png")
        if index != 0:
            shutil.copy(mask, root / "SegmentationClassAug" / f"p{index}.png")
    shutil.copy(mask, root / "SegmentationClassAug" / "without_image.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("p0\np1\n")
    (lists / "val.txt").write_text("p2\n")
    spec = open_dataset(root)
    assert [item.id for item in spec.split("train")] == ["p0", "p1", "p3", "p4", "p5"]  # p2 is val's
    assert [item.annotation.path.parent.name for item in spec.split("train")][:2] == [
        "SegmentationClass",
        "SegmentationClassAug",
    ]
    assert [item.id for item in spec.split("val")] == ["p2"]
    assert any("1 mask of SegmentationClassAug has no image" in reason for reason in spec.reasons)
    (lists / "trainaug.txt").write_text("/JPEGImages/p4.jpg /SegmentationClassAug/p4.png\np2\n")
    assert [item.id for item in open_dataset(root).split("train")] == ["p4"]
    (lists / "trainaug.txt").write_text("p4\np0\n")
    assert [item.id for item in open_dataset(root).split("train")] == ["p4", "p0"]
    (root / "JPEGImages" / "p9.jpg").write_bytes((root / "JPEGImages" / "p4.jpg").read_bytes())
    (lists / "trainaug.txt").write_text("p9\n")
    with pytest.raises(DataError, match="p9 has no mask in SegmentationClassAug"):
        open_dataset(root)
