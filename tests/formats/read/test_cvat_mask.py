from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset

LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\nside: walk:10,20,30::\n"
COLOURS = np.array([(0, 0, 0), (128, 64, 128), (10, 20, 30)], np.uint8)


def ids_of(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 3, (7, 9)).astype(np.uint8)


def make(root: Path, count: int = 4, folder: str = "JPEGImages", kind: str = "rgb") -> Path:
    for name in ("SegmentationClass", "ImageSets/Segmentation", folder):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "labelmap.txt").write_text(LABELMAP)
    (root / "ImageSets/Segmentation/default.txt").write_text("".join(f"p{i}\n" for i in range(count)))
    for index in range(count):
        ids = ids_of(index)
        Image.new("RGB", (9, 7)).save(root / folder / f"p{index}.{('jpg', 'png', 'bmp')[index % 3]}")
        if kind == "rgb":
            mask = Image.fromarray(COLOURS[ids])
        elif kind == "grey":
            mask = Image.fromarray(ids)
        else:  # a palette in another order than labelmap.txt's, and different for each file
            order = np.roll(np.arange(3), index)
            mask = Image.fromarray(np.argsort(order).astype(np.uint8)[ids])
            mask.putpalette(COLOURS[order].ravel().tolist())
        mask.save(root / "SegmentationClass" / f"p{index}.png")
    return root


@pytest.mark.parametrize("kind", ["rgb", "grey", "palette"])
@pytest.mark.parametrize("folder", ["JPEGImages", "images", "."])
def test_the_colours_of_labelmap_say_the_class(kind: str, folder: str, tmp_path: Path) -> None:
    spec = open_dataset(make(tmp_path / "task", kind=kind, folder=folder))
    assert (spec.layout, spec.classes.names) == ("cvat_mask", ("background", "road", "side: walk"))
    assert spec.classes.palette[2] == (10, 20, 30)
    items = [*spec.split("train"), *spec.split("val")]
    assert sorted(item.id for item in items) == ["p0", "p1", "p2", "p3"]
    for item in items:
        np.testing.assert_array_equal(read_sample(spec, item).labels, ids_of(int(item.id[1:])))


def test_lists_and_masks_are_the_splits(tmp_path: Path) -> None:
    root = make(tmp_path / "task")
    lists = root / "ImageSets/Segmentation"
    (lists / "Train.txt").write_text("p0\np1\n")
    (lists / "Validation.txt").write_text("p2\n")
    spec = open_dataset(root)
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["p0", "p1"],
        "val": ["p2"],
    }
    assert any("4 images of other subsets (default) are left out" in reason for reason in spec.reasons)
    (lists / "Train.txt").unlink()
    assert [item.id for item in open_dataset(root).split("train")] == ["p0", "p1", "p3"]  # default, less val
    for listing in lists.glob("*.txt"):
        listing.unlink()
    spec = open_dataset(root)
    assert len(spec.split("train")) + len(spec.split("val")) == 4


def test_ignored_is_void_and_background_is_added(tmp_path: Path) -> None:
    root = make(tmp_path / "task")
    (root / "labelmap.txt").write_text("road:128,64,128::\nignored:10,20,30::\n")
    spec = open_dataset(root)
    assert spec.classes.names == ("background", "road")
    item = spec.split("train")[0]
    expected = np.array([0, 1, 255])[ids_of(int(item.id[1:]))]
    np.testing.assert_array_equal(read_sample(spec, item).labels, expected)
    assert any("'ignored' is unlabelled" in reason for reason in spec.reasons)


def test_images_without_annotations_are_left_out(tmp_path: Path) -> None:
    root = make(tmp_path / "task")
    (root / "SegmentationClass/p3.png").unlink()
    spec = open_dataset(root)
    assert sum(len(items) for items in spec.splits.values()) == 3
    assert any("1 listed images have no mask and are left out (p3)" in reason for reason in spec.reasons)


def test_without_labelmap_it_is_voc(tmp_path: Path) -> None:
    root = make(tmp_path / "task", kind="grey")
    (root / "labelmap.txt").unlink()
    (root / "ImageSets/Segmentation/train.txt").write_text("")
    with pytest.raises(DataError, match="no image is in any split; see its lists"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("road 1,2,3\n", "entry 1 is 'road 1,2,3'; expected 'label:R,G,B:parts:actions'"),
        ("road:1,2,256::\n", "expected 'label:R,G,B:parts:actions', 0 to 255"),
        ("a:1,2,3::\nb:1,2,3::\n", "'a' and 'b' share a name or a colour"),
        ("# nothing\n", "names no label"),
    ],
)
def test_bad_label_maps(text: str, words: str, tmp_path: Path) -> None:
    root = make(tmp_path / "task")
    (root / "labelmap.txt").write_text(text)
    with pytest.raises(DataError, match=r"labelmap\.txt") as error:
        open_dataset(root)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["rgb", "palette"])
def test_a_colour_that_is_no_label(kind: str, tmp_path: Path) -> None:
    root = make(tmp_path / "task", kind=kind)
    (root / "labelmap.txt").write_text("background:0,0,0::\nroad:128,64,128::\n")
    spec = open_dataset(root)
    with pytest.raises(DataError, match=r"colour \(10, 20, 30\).* stands for no class"):
        read_sample(spec, spec.split("train")[0])


def test_missing_files_are_named(tmp_path: Path) -> None:
    root = make(tmp_path / "task")
    (root / "JPEGImages/p0.jpg").unlink()
    with pytest.raises(DataError, match=r"1 mask has no image \(p0\); export again with images saved"):
        open_dataset(root)
    for mask in (root / "SegmentationClass").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match="no mask of a listed image is there"):
        open_dataset(root)
