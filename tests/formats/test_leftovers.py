"""What is not used is named, whatever the layout; what was read is not."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read import ADE20K_CLASSES
from tests.builders import ade20k, cityscapes, coco, coco_panoptic, labelme, yolo
from tests.builders.folders import Make


def unused(root: Path) -> list[str]:
    return [line for line in open_dataset(root).reasons if line.startswith("not used: ")]


def folder(root: Path, make_folder: Make) -> None:
    make_folder(4, name=root.name)
    (root / "classes.txt").write_text("ground\ndisc\nsquare\ntriangle\nring\n")
    (root / "train.txt").write_text("scene_0\nscene_1\n")
    (root / "val.txt").write_text("scene_2\nscene_3\n")
    (root / "dataset.yaml").write_text("{}")


def class_dict(root: Path, make_folder: Make) -> None:
    make_folder(4, name=root.name)
    (root / "class_dict.csv").write_text("".join(f"c{index},{index},0,1\n" for index in range(5)))


def voc(root: Path, make_folder: Make) -> None:
    made = make_folder(3, name=f"of_{root.name}")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (made / "images").rename(root / "JPEGImages")
    (made / "masks").rename(root / "SegmentationClass")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("scene_0\nscene_1\nscene_2\n")
    (root / "class_names.txt").write_text("ground\ndisc\nsquare\ntriangle\nring\n")


def of_ade20k(root: Path) -> None:
    ade20k.one(root)
    (root / "objectInfo150.txt").write_text(ade20k.info(list(ADE20K_CLASSES.names)))


def of_coco(root: Path) -> None:
    root.mkdir()
    coco.write(root / "train.json", root / "images", (5, 8))


def of_labelme(root: Path) -> None:
    labelme.write(root, labelme.shape("point", (3, 3)))
    (root / "labels.txt").write_text("__ignore__\n_background_\ncat\n")


BUILDERS: dict[str, Callable[[Path, Make], None]] = {
    "folder": folder,
    "class_dict": class_dict,
    "voc": voc,
    "cityscapes": lambda root, _: cityscapes.one(root),
    "ade20k": lambda root, _: of_ade20k(root),
    "coco": lambda root, _: of_coco(root),
    "coco_panoptic": lambda root, _: coco_panoptic.write(root, "train2017", ["000000000009"]),
    "labelme": lambda root, _: of_labelme(root),
}


@pytest.mark.parametrize("layout", list(BUILDERS))
def test_every_layout_names_what_it_does_not_use(layout: str, tmp_path: Path, make_folder: Make) -> None:
    root = tmp_path / "data"
    BUILDERS[layout](root, make_folder)
    assert unused(root) == []
    for name in ("README.md", "LICENSE", ".DS_Store", "Thumbs.db", "labels.cache", "__MACOSX/._a.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    assert unused(root) == []
    (root / "depth").mkdir()
    for number in range(5):
        (root / "depth" / f"{number}.bin").write_text("x")
    (root / "instances.xml").write_text("x")
    assert unused(root) == ["not used: 1 .xml (instances.xml); 5 .bin in depth (0.bin, 1.bin, 2.bin and 2 more)"]


def test_many_places_are_joined(tmp_path: Path, make_folder: Make) -> None:
    root = make_folder(3, name="data")
    for day in range(9):
        (root / "raw" / f"day_{day}").mkdir(parents=True)
        (root / "raw" / f"day_{day}" / "flight.gpx").write_text("x")
    assert unused(root) == ["not used: 9 .gpx in raw (flight.gpx, flight.gpx, flight.gpx and 6 more)"]


def test_images_on_no_list_and_other_annotations_are_named_by_both_commands(
    tmp_path: Path, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    folder(root, make_folder)
    (root / "val.txt").write_text("scene_2\n")
    (root / "tasks.json").write_text(json.dumps({"images": ["a"]}))
    said = "not used: 1 .json (tasks.json); 1 .png in images (scene_3.png); 1 .png in masks (scene_3.png)"
    run(["check", str(root)])
    assert said in " ".join(capsys.readouterr().out.split())
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(root / "images" / "bare.png")  # now it opens for a check only
    assert run(["check", str(root)]) == 3
    assert "2 .png in images (bare.png, scene_3.png)" in " ".join(capsys.readouterr().out.split())


def test_text_files_of_yolo_without_an_image_are_named(tmp_path: Path) -> None:
    root = yolo.roboflow(tmp_path / "set", yolo.SQUARE)
    assert unused(root) == []
    (root / "train" / "labels" / "lost.txt").write_text(yolo.BOX)
    assert unused(root) == ["not used: 1 .txt in train/labels (lost.txt)"]


def test_outlines_members_and_values_that_are_left_out_or_guessed(tmp_path: Path, make_folder: Make) -> None:
    root = tmp_path / "coco"
    root.mkdir()
    notes = [coco.annotation(5, 1, [coco.box(0, 0, 3, 3), [1, 1, 2, 2]])]
    coco.write(root / "result.json", root / "images", (5, 8), annotations=notes)
    assert "1 outline of fewer than three points is left out" in open_dataset(root).reasons
    plain = make_folder(3)
    with Image.open(plain / "masks" / "scene_0.png") as picture:
        mask = np.asarray(picture).copy()
    mask[0] = 255
    Image.fromarray(mask).save(plain / "masks" / "scene_0.png")
    said = "mask value 255 is taken as unlabelled; say otherwise in dataset.yaml (values, ignore)"
    assert said in open_dataset(plain).reasons
    shards = tmp_path / "shards"
    shards.mkdir()
    with tarfile.open(shards / "train-000000.tar", "w") as tar:
        for number in range(2):
            for kind, ending in (("images", ".png"), ("masks", ".seg.png")):
                tar.add(plain / kind / f"scene_{number + 1}.png", f"{number}{ending}")
            tar.add(plain / "masks" / "scene_0.png", f"{number}.json")
    assert "other members of the samples are not read: 2 .json" in open_dataset(shards).reasons


def test_a_mixture_names_the_classes_that_it_joins(tmp_path: Path, make_folder: Make) -> None:
    for name, classes in (("one", ["Road", "disc", "a", "b", "c"]), ("two", ["d", "road", "e", "f", "disc"])):
        (make_folder(3, name=name) / "classes.txt").write_text("\n".join(classes))
    reasons = open_dataset(f"{tmp_path / 'one'}+{tmp_path / 'two'}").reasons
    assert "mixed by name: 8 classes, in common: Road/road, disc" in reasons


def test_folders_that_were_not_looked_at_are_counted(tmp_path: Path, make_folder: Make) -> None:
    for number in range(60):
        (tmp_path / "above" / f"day_{number:02}").mkdir(parents=True)
    with pytest.raises(DataError, match="10 of its folders were not looked at"):
        open_dataset(tmp_path / "above")
    make_folder(3, name="above/a")
    assert f"11 more folders of {tmp_path / 'above'} were not looked at" in open_dataset(tmp_path / "above").reasons


@pytest.mark.parametrize(
    ("names", "counts", "said"),
    [
        (
            ("train-0.tar", "more-0.tar"),
            {"train": 1, "val": 1},
            "2 images of no split are left out: others are named train",
        ),
        (("val-0.tar", "more-0.tar"), {"val": 2, "train": 2}, "nothing is named train: the images of no split are"),
    ],
)
def test_shards_of_no_split_beside_others(
    tmp_path: Path, make_folder: Make, names: tuple[str, ...], counts: dict[str, int], said: str
) -> None:
    plain = make_folder(4)
    shards = tmp_path / "shards"
    shards.mkdir()
    for place, name in enumerate(names):
        with tarfile.open(shards / name, "w") as tar:
            for number in (2 * place, 2 * place + 1):
                for kind, ending in (("images", ".png"), ("masks", ".seg.png")):
                    tar.add(plain / kind / f"scene_{number}.png", f"{number}{ending}")
    spec = open_dataset(shards)
    assert said in spec.reasons
    assert {split: len(items) for split, items in spec.splits.items()} == counts
    first = {
        item.id for split, items in spec.splits.items() for item in items if "train-0.tar" in str(item.image.where)
    }
    assert first == ({"0", "1"} if "train-0.tar" in names else set())
