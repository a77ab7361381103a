from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read import VOC_CLASSES
from tests.builders.annotations import HEIGHT, WIDTH, pictures, voc, voc_object
from tests.builders.orientation import corners as orientation_corners
from tests.builders.orientation import photograph, stored, turned


def test_voc_s_own_names_are_voc_s_classes(tmp_path: Path) -> None:
    assert open_dataset(voc(tmp_path / "a", voc_object("cat", (1, 1, 4, 4)))).classes == VOC_CLASSES
    spec = open_dataset(voc(tmp_path / "b", voc_object("truck", (1, 1, 4, 4)), voc_object("cat", (1, 1, 4, 4))))
    assert spec.classes.names == ("background", "cat", "truck")


def test_splits_are_the_lists_of_main_or_the_folders(tmp_path: Path) -> None:
    root = voc(tmp_path / "a", voc_object("cat", (1, 1, 4, 4)), names=("a", "b", "c"))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nx\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("b\n")
    spec = open_dataset(root)
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["a"],
        "val": ["b"],
    }
    assert "1 XML files are on none of these lists and left out" in spec.reasons
    assert "1 entry of these lists has no XML file: left out" in spec.reasons
    for split in ("train", "valid"):  # as Roboflow exports them
        pictures(tmp_path / "b" / split)
        for name in ("a", "b"):
            text = f"<annotation><filename>{name}.png</filename>{voc_object('cat', (1, 1, 4, 4))}</annotation>"
            (tmp_path / "b" / split / f"{name}.xml").write_text(text)
    spec = open_dataset(tmp_path / "b")
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 2, "val": 2}


def test_masks_beside_win(tmp_path: Path) -> None:
    root = voc(tmp_path, voc_object("cat", (1, 1, 4, 4)))
    (root / "masks").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8)).save(root / "masks" / f"{name}.png")
    assert open_dataset(root).layout == "folder"


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (voc_object("cat", (9, 1, 4, 4)), "a.xml: object 0 cannot be read .a box that ends before it begins"),
        (voc_object("cat", (1, 1, 4, 4)) + voc_object("", (1, 1, 4, 4)), "object 1 cannot be read .no name"),
        ("<object><name>cat</name></object>", "a.xml: object 0 cannot be read .no name, or no bndbox"),
        (voc_object("cat", (1, 1, 4, 4)).replace(">4<", ">x<"), "a.xml: object 0 cannot be read .could not convert"),
        ("<object>", "a.xml: not readable XML"),
    ],
)
def test_bad_files(thing: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words) as error:
        open_dataset(voc(tmp_path, thing))
    assert "\n" not in str(error.value)


def test_a_file_without_an_image_is_named(tmp_path: Path) -> None:
    root = voc(tmp_path, voc_object("cat", (1, 1, 4, 4)))
    (root / "JPEGImages" / "b.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 XML files have no image \(b\.xml\)"):
        open_dataset(root)


def _turned(root: Path, orientation: int, size: str) -> Path:
    """One photograph whose car has a box in the pixels as stored, or as shown, and the size that its file states."""
    shown = "shown" in size
    outline, (height, width) = orientation_corners(orientation, upright=shown)
    stated = {"zero": (0, 0), "stored": (height, width), "shown": (height, width), "other": (height + 3, width)}[size]
    photograph(root / "JPEGImages" / "a.jpg", orientation)
    (root / "Annotations").mkdir()
    (left, top), (right, bottom) = outline[0], outline[2]
    box = voc_object("car", (int(left) + 1, int(top) + 1, int(right), int(bottom)))
    text = f"<annotation><size><height>{stated[0]}</height><width>{stated[1]}</width></size>{box}</annotation>"
    (root / "Annotations" / "a.xml").write_text(text)
    return root


@pytest.mark.parametrize(
    ("size", "orientation"), [("stored", 1), ("stored", 6), ("stored", 8), *(("shown", turn) for turn in (1, 3, 6, 8))]
)
def test_boxes_are_turned_with_photographs_where_their_size_says_so(
    size: str, orientation: int, tmp_path: Path
) -> None:
    """Orientation 3 keeps the size, which then says nothing: boxes are taken as drawn on the image as shown."""
    (item,) = open_dataset(_turned(tmp_path, orientation, size)).splits["train"]
    (box,) = item.annotation.annotations()
    rows, columns = np.nonzero(turned(stored(), orientation))
    assert box.bounds == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_a_size_that_is_not_the_image_s_is_refused_and_0_says_nothing(tmp_path: Path) -> None:
    assert len(open_dataset(_turned(tmp_path / "a", 1, "zero")).splits["train"]) == 1
    with pytest.raises(DataError, match=r"a\.xml: labelled at 40x27, but a\.jpg is 40x24; give the image"):
        open_dataset(_turned(tmp_path / "b", 1, "other"))
