"""The validation part of a public data set is often all that was fetched: it opens, and is called what it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fullconv.checking.check import check
from fullconv.cli.main import run
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders import ade20k, cityscapes, coco_panoptic, coco_stuff
from tests.builders.folders import Make


def val_of_coco_stuff(root: Path) -> None:
    coco_stuff.build(root, "images", "stuffthingmaps")
    for folder in ("images", "stuffthingmaps"):
        shutil.rmtree(root / folder / "train2017")


VAL_ALONE: dict[str, Callable[[Path], None]] = {
    "ade20k": lambda root: ade20k.one(root, "validation"),
    "cityscapes": lambda root: cityscapes.one(root, "val"),
    "coco_panoptic": lambda root: coco_panoptic.write(root, "val2017", ["000000000139"]),
    "coco_stuff": val_of_coco_stuff,
}


@pytest.mark.parametrize("layout", list(VAL_ALONE))
def test_val_alone_opens_as_what_it_is(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    VAL_ALONE[layout](root)
    spec = open_dataset(root)
    assert (spec.layout, list(spec.splits)) == (layout, ["val"])
    assert "no split is train, only val: for evaluate and predict, not for training" in spec.reasons
    report = check(spec, ["val"])
    assert not report.problems
    assert run(["check", str(root)]) == 3
    assert "nothing to train on" in capsys.readouterr().out.replace("\n", " ")
    with pytest.raises(DataError, match="has no split 'train'; there are val"):
        spec.split("train")


def test_voc_s_own_test_masks_are_a_split_and_other_masks_are_not_unlisted_files(
    make_folder: Make, tmp_path: Path
) -> None:
    source, root = make_folder(6), tmp_path / "VOC2007"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index in range(6):
        with Image.open(source / "images" / f"scene_{index}.png") as image:
            image.save(root / "JPEGImages" / f"p{index}.jpg")
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            shutil.copy(source / "masks" / f"scene_{index}.png", root / folder / f"p{index}.png")
    lists = root / "ImageSets" / "Segmentation"
    for split, names in (("train", "p0 p1"), ("val", "p2 p3"), ("test", "p4 p5")):
        (lists / f"{split}.txt").write_text(names.replace(" ", "\n"))
    (lists / "trainaug.txt").write_text("p0\np1")
    spec = open_dataset(root)
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 2, "val": 2, "test": 2}
    assert not [finding for finding in check(spec).findings if finding.kind == "unpaired"]
    (root / "SegmentationClass" / "p5.png").unlink()
    spec = open_dataset(root)
    assert list(spec.splits) == ["train", "val"]
    assert "test.txt is left out: its masks are not there" in spec.reasons
    (root / "dataset.yaml").write_text("classes: [ground, disc, square, triangle, ring]")
    own = open_dataset(root)
    assert own.licence == ""
    assert "5 classes of dataset.yaml" in own.reasons[0]
