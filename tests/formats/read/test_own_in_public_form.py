"""Other data in the form of a public set: no class name and no licence of that set is given to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.formats.open import open_dataset
from fullconv.formats.read import ADE20K_CLASSES, VOC_NAMES
from fullconv.formats.read.coco_json import SOME_CATEGORIES, is_public
from tests.builders import ade20k, cityscapes
from tests.builders.folders import Make
from tests.builders.images import save_mask


def voc(make_folder: Make, names: list[str], root: Path) -> Path:
    source = make_folder(len(names), name=f"of_{root.name}")
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index, name in enumerate(names):
        shutil.copy(source / "images" / f"scene_{index}.png", root / "JPEGImages" / f"{name}.png")
        shutil.copy(source / "masks" / f"scene_{index}.png", root / "SegmentationClass" / f"{name}.png")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def test_six_digits_are_not_voc(make_folder: Make, tmp_path: Path) -> None:
    root = voc(make_folder, [f"00000{index}" for index in range(6)], tmp_path / "own")
    spec = open_dataset(root)
    assert (spec.layout, spec.licence, spec.declared) == ("voc", "", False)
    assert spec.classes.names == tuple(f"class_{index}" for index in range(5))
    (root / "ImageSets" / "Main").mkdir()
    (root / "ImageSets" / "Main" / "aeroplane_train.txt").write_text("000000  1\n")
    assert open_dataset(root).classes.names == VOC_NAMES  # VOC 2007's images are numbers; this list is its own
    shutil.rmtree(root / "ImageSets" / "Main")
    (root / "Annotations").mkdir()
    words = "<annotation><source><database>{}</database></source></annotation>"
    (root / "Annotations" / "000000.xml").write_text(words.format("The VOC2007 Database"))
    assert open_dataset(root).licence.startswith("PASCAL VOC")
    (root / "Annotations" / "000000.xml").write_text(words.format("Unknown"))
    assert open_dataset(root).licence == ""


@pytest.mark.parametrize("wrong", ["list", "ids", "nothing"])
def test_names_with_a_year_are_voc_unless_list_or_ids_contradict(make_folder: Make, tmp_path: Path, wrong: str) -> None:
    root = voc(make_folder, [f"2011_00000{index}" for index in range(6)], tmp_path / "year")
    names: tuple[str, ...] = VOC_NAMES
    if wrong == "list":
        names = ("ground", "disc", "square", "triangle", "ring")
        (root / "labels.txt").write_text("\n".join(names))
    elif wrong == "ids":
        names = tuple(f"class_{index}" for index in range(23))
        path = root / "SegmentationClass" / "2011_000003.png"
        with Image.open(path) as picture:
            mask = np.asarray(picture).copy()
        mask[0] = np.arange(mask.shape[1]) % 23
        save_mask(path, mask)
    spec = open_dataset(root)
    assert spec.classes.names == names
    assert bool(spec.licence) == (wrong == "nothing")


def test_lists_of_other_names_are_used_and_said(make_folder: Make, tmp_path: Path) -> None:
    root = voc(make_folder, [f"p{index}" for index in range(6)], tmp_path / "own")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").rename(lists / "default.txt")
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"train": 5, "val": 1}
    (lists / "default.txt").write_text("p0\np1\np2\n")
    (lists / "Validation.txt").write_text("p3\n")
    spec = open_dataset(root)
    assert {split: len(items) for split, items in spec.splits.items()} == {"val": 1, "train": 3}
    assert any("no subset is named train: the images of the others (default) are" in line for line in spec.reasons)


def test_labelme2voc_without_image_sets(make_folder: Make, tmp_path: Path) -> None:
    root = voc(make_folder, [f"p{index}" for index in range(6)], tmp_path / "own")
    shutil.rmtree(root / "ImageSets")
    (root / "SegmentationClass").rename(root / "SegmentationClassPNG")
    (root / "SegmentationClass").mkdir()
    np.save(root / "SegmentationClass" / "p0.npy", np.zeros((4, 4), np.int32))
    names = ("_background_", "disc", "square", "triangle", "ring")
    (root / "class_names.txt").write_text("\n".join(names))
    spec = open_dataset(root)
    assert (spec.classes.names, spec.licence) == (names, "")
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 5, "val": 1}
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) <= set(range(5))


def test_other_streets_and_scenes(tmp_path: Path) -> None:
    cityscapes.save_image(tmp_path / "own", "val", "hometown_000000_000000")
    cityscapes.save_masks(tmp_path / "own", "gtFine", "val", "hometown_000000_000000", "labelIds", np.array([[0, 1]]))
    spec = open_dataset(tmp_path / "own")
    assert (spec.licence, len(spec.classes)) == ("", 19)
    assert any("not named as Cityscapes's own" in line for line in spec.reasons)
    (tmp_path / "own" / "classes.txt").write_text("grass\nhouse\n")
    spec = open_dataset(tmp_path / "own")
    assert spec.classes.names == ("grass", "house")
    for kind in ("images", "annotations"):
        (tmp_path / "ade" / kind / "validation").mkdir(parents=True)
    (tmp_path / "ade" / "objectInfo150.txt").write_text(ade20k.info(list(ADE20K_CLASSES.names)))
    Image.new("RGB", (4, 2)).save(tmp_path / "ade" / "images" / "validation" / "mine.jpg")
    Image.fromarray(ade20k.RAW).save(tmp_path / "ade" / "annotations" / "validation" / "mine.png")
    assert open_dataset(tmp_path / "ade").licence == ""


def test_a_year_in_a_name_is_not_coco() -> None:
    found = {key: {"id": key, "name": name} for key, name in SOME_CATEGORIES.items()}
    assert is_public(Path("instances_val2017.json"), found)
    assert not is_public(Path("instances_val2017.json"), {1: {"id": 1, "name": "roof"}})
    assert not is_public(Path("instances_val.json"), found)


def test_a_labelmap_of_names_alone_is_a_list_of_classes(make_folder: Make, tmp_path: Path) -> None:
    root = voc(make_folder, [f"p{index}" for index in range(6)], tmp_path / "own")
    names = ("ground", "disc", "square", "triangle", "ring")
    (root / "labelmap.txt").write_text("\n".join(names))
    spec = open_dataset(root)
    assert (spec.layout, spec.classes.names) == ("voc", names)
