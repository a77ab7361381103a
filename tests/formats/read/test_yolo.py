from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.data.drawing import NoMaskError
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.yolo import BOX, SQUARE, describe, put, roboflow


def test_roboflow_with_paths_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "train/images").mkdir(parents=True)  # what the path says, and not what it means
    put(tmp_path, "train/images/other.jpg", SQUARE)
    put(tmp_path / "set", "images/preview.jpg", SQUARE)  # the end of ../test/images, but not of that split
    spec = open_dataset(roboflow(tmp_path / "set", SQUARE, BOX))
    assert (spec.layout, spec.classes.names) == ("yolo", ("background", "cat", "dog"))
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["a"],
        "val": ["b"],
    }
    expected = np.zeros((8, 10), np.uint8)
    expected[2:5, 2:6] = 2
    expected[2:7, 6:10] = 1
    item = pickle.loads(pickle.dumps(spec.split("train")[0]))
    np.testing.assert_array_equal(read_sample(spec, item).labels, expected)
    for words in ("class 0 is background", "2 of 3 lines are boxes, drawn as rectangles", "by Pillow"):
        assert any(words in reason for reason in spec.reasons)
    assert any("test (../test/images) is not there and is left out" in reason for reason in spec.reasons)


def test_later_lines_lie_over_earlier_ones(tmp_path: Path) -> None:
    whole = "0 0 0 1 0 1 1 0 1"
    for rows, ids in (((whole, SQUARE), {1, 2}), ((SQUARE, whole), {1})):
        spec = open_dataset(roboflow(tmp_path / "set", *rows))
        assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) == ids


def test_ultralytics_with_names_as_a_dict_and_lists_of_files(tmp_path: Path) -> None:
    root = tmp_path / "coco8"
    for split, name in (("train", "a"), ("train", "c"), ("val", "b")):
        put(root, f"images/{split}/{name}.png", SQUARE.replace("1 ", "7 ", 1) if name != "c" else None)
    describe(root, names={7: "dog", 3: "cat"}, path="../datasets/coco8", train=["images/train"], val="val.txt")
    (root / "val.txt").write_text("/somewhere/else/coco8/images/val/b.png\n")
    spec = open_dataset(root)
    assert spec.classes.names == ("background", "cat", "dog")
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["a", "c"],
        "val": ["b"],
    }
    assert set(np.unique(read_sample(spec, spec.split("val")[0]).labels)) == {0, 2}
    assert not read_sample(spec, spec.split("train")[1]).labels.any()  # no text file: all background
    assert any("1 image has no line" in reason for reason in spec.reasons)
    (root / "val.txt").write_text("images/val/gone.png\n")
    with pytest.raises(DataError, match=r"1 of 1 images are missing \(images/val/gone\.png\)"):
        open_dataset(root)


def test_without_paths_the_folders_are_the_splits(tmp_path: Path) -> None:
    root = describe(tmp_path / "set", names=["Background", "dog"])
    put(root, "images/train/a.png", SQUARE)
    put(root, "images/val/b.png", "")
    put(root, "images/test/c.png", None)
    spec = open_dataset(root)
    assert spec.classes.names == ("Background", "dog")
    assert list(spec.splits) == ["train", "val"]
    assert any("test has no text files in labels/ and is left out" in reason for reason in spec.reasons)
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) == {0, 1}


def test_dataset_yaml_may_order_the_classes(tmp_path: Path) -> None:
    root = roboflow(tmp_path / "set", SQUARE)
    (root / "dataset.yaml").write_text("classes: [dog, background, cat]\n")
    spec = open_dataset(root)
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert (labels[3, 3], labels[0, 0]) == (0, 1)


def test_masks_in_labels_are_left_to_plain_folders(tmp_path: Path) -> None:
    root = describe(tmp_path / "set", train="images", names=["a", "b"])
    for name in ("x", "y"):
        put(root, f"images/{name}.png", None)
        (root / "labels").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 10), 1, np.uint8)).save(root / "labels" / f"{name}.png")
    assert open_dataset(root).layout == "folder"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0 0.1 0.2 x 0.4", "entry 1 is '0 0.1 0.2 x 0.4'; expected 'class x y x y ...'"),
        ("0 0.1 0.2 0.3 0.4 0.5", "entry 1 has 6 numbers"),
        ("0 0.1 0.2", "entry 1 has 3 numbers"),
        ("2 0.1 0.2 0.3 0.4", "entry 1 has class 2, expected 0 to 1"),
        ("0.5 0.1 0.2 0.3 0.4", "entry 1 has class 0.5"),
        ("0 10 20 30 40 50 60", "coordinates outside 0 to 1"),
        ("0 nan 0.2 0.3 0.4 0.5 0.6", "coordinates outside 0 to 1"),
    ],
)
def test_bad_lines(row: str, words: str, tmp_path: Path) -> None:
    root = roboflow(tmp_path / "set", row)
    with pytest.raises(DataError, match=r"a\.txt") as error:
        open_dataset(root)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_folders(tmp_path: Path) -> None:
    root = roboflow(tmp_path / "set", None)
    with pytest.raises(DataError, match="no training image has a text file in labels/"):
        open_dataset(root)
    (root / "valid/labels/b.txt").unlink()
    with pytest.raises(DataError, match="no image has a text file in labels/"):
        open_dataset(root)
    put(root, "train/images/a.jpg", SQUARE)
    describe(root, names=["cat", "cat"])
    with pytest.raises(DataError, match="names the label 'cat' more than once"):
        open_dataset(root)
    describe(root, names="cat")
    with pytest.raises(DataError, match=r"names is 'cat'; expected \[cat, dog\]"):
        open_dataset(root)
    describe(tmp_path / "empty", train="../train/images")
    with pytest.raises(DataError, match=r"no images where train points \(\.\./train/images\)"):
        open_dataset(tmp_path / "empty")


POSES = {  # the box of BOX, and three points in it
    2: f"{BOX} 0.7 0.4 0.8 0.5 0.75 0.6",
    3: f"{BOX} 0.7 0.4 2 0 0 0 0.75 0.6 1",
}


@pytest.mark.parametrize(("numbers", "stated"), [(2, True), (3, True), (3, False)])
def test_a_pose_is_its_box_and_no_polygon(tmp_path: Path, numbers: int, stated: bool) -> None:
    root = roboflow(tmp_path / "boxes", BOX)
    (expected,) = open_dataset(root).split("train")[0].annotation.annotations()
    root = roboflow(tmp_path / "poses", POSES[numbers])
    if stated:
        describe(root, train="train/images", val="valid/images", kpt_shape=[3, numbers])
    spec = open_dataset(root)
    box, points = spec.split("train")[0].annotation.annotations()
    np.testing.assert_array_equal(box.geometry[0], expected.geometry[0])
    places = [(7.0, 3.2), (8.0, 4.0), (7.5, 4.8)] if numbers == 2 else [(7.0, 3.2), (7.5, 4.8)]  # one is not seen
    np.testing.assert_allclose(points.geometry[0], places)
    assert [(one.kind, one.label, one.instance) for one in (box, points)] == [("box", 1, 0), ("point", 1, 0)]
    assert "1 of 2 lines are poses, boxes and points, not drawn, for there is no outline" in spec.reasons
    assert "1 of 2 lines are boxes, not drawn, for there is no outline" in spec.reasons
    with pytest.raises(NoMaskError, match="found 1 box, 1 point"):
        read_sample(spec, spec.split("train")[0])


def test_poses_or_outlines_are_asked_for(tmp_path: Path) -> None:
    root = roboflow(tmp_path, *[POSES[2]] * 10)
    with pytest.raises(
        DataError, match=r"all 10 lines of 11 numbers look like poses.*'kpt_shape: \[3, 2\]' into it, or"
    ):
        open_dataset(root)
    fields = {"train": "train/images", "val": "valid/images"}
    describe(root, **fields, kpt_shape=[])
    assert not any("poses" in line for line in open_dataset(root).reasons)
    describe(root, **fields, kpt_shape=[3, 2])
    assert any("10 of 11 lines are poses" in line for line in open_dataset(root).reasons)
    describe(root, **fields, kpt_shape=[4, 2])
    with pytest.raises(DataError, match=r"entry 1 has 11 numbers; by kpt_shape of data\.yaml a pose has 13, a box 5"):
        open_dataset(root)
    describe(root, **fields, kpt_shape=[4, 5])
    with pytest.raises(DataError, match=r"kpt_shape is \[4, 5\]; expected \[points, 2\]"):
        open_dataset(root)


def test_many_outlines_of_one_length_are_no_poses(tmp_path: Path) -> None:
    rows = [
        f"1 {x} {y} {x + 0.1} {y} {x + 0.1} {y + 0.2} {x} {y + 0.2}"
        for x in (0.1, 0.4, 0.7)
        for y in (0, 0.3, 0.5, 0.8)
    ]
    assert not any("poses" in line for line in open_dataset(roboflow(tmp_path, *rows)).reasons)
