"""``class_dict.csv`` and its kin: names and colours of the classes beside the masks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make


def test_class_dict_names_colours_whatever_the_palette_s_order(make_folder: Make) -> None:
    root = make_folder(5)
    colours = {"ring": (9, 9, 9), "ground": (0, 0, 1), "disc": (0, 0, 2), "square": (0, 0, 3), "triangle": (0, 0, 4)}
    (root / "class_dict.csv").write_text("".join(f"{n},{r},{g},{b}\n" for n, (r, g, b) in colours.items()))
    raw = {}
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            values = np.asarray(picture)
        raw[path.stem] = values
        palette = Image.fromarray(values, "P")
        palette.putpalette([0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 9, 9, 9])
        palette.save(path)
    spec = open_dataset(root)
    assert spec.classes.names[0] == "ring"  # no heading: the first line counts
    item = spec.split("train")[0]
    np.testing.assert_array_equal(read_sample(spec, item).labels, np.array([1, 2, 3, 4, 0])[raw[item.id]])
    (root / "dataset.yaml").write_text("ignore: [[0, 0, 2]]")
    spec = open_dataset(root)
    item = spec.split("train")[0]
    np.testing.assert_array_equal(read_sample(spec, item).labels == 255, raw[item.id] == 1)
    for text, words in (
        (b"name,r,g,b\nroad,1,2,300\n", "expected 0 to 255"),
        ("name,r,g,b\nstra\u00dfe,1,2,3\n".encode("latin-1"), r"likely cp1252, .* 'straße,1,2,3'"),
    ):
        (root / "class_dict.csv").write_bytes(text)
        with pytest.raises(DataError, match=words):
            open_dataset(root)


def test_check_reads_class_dict_where_something_else_is_wrong(
    make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(4)
    colours = np.array([(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4), (0, 0, 5)], np.uint8)
    (root / "class_dict.csv").write_text("name,r,g,b\n" + "".join(f"c{b},{r},{g},{b}\n" for r, g, b in colours))
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray(colours[np.asarray(picture)]).save(path)
    (root / "masks" / "scene_1.png").unlink()
    (root / "masks" / "scene_2.png").write_bytes(b"no picture")
    assert run(["check", str(root)]) == 3
    said = capsys.readouterr().out
    assert "1 of 4 images have no mask" in said
    assert "scene_2.png" in said
    assert "no colour is named" not in said


def test_grey_masks_of_class_dict(make_folder: Make) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray((np.asarray(picture) > 0).astype(np.uint8) * 255).save(path)
    (root / "class_dict.csv").write_text("name,r,g,b\nroad,255,255,255\nbackground,0,0,0\n")
    spec = open_dataset(root)
    item = spec.split("train")[0]
    with Image.open(item.annotation.path) as picture:
        road = np.asarray(picture) == 255
    np.testing.assert_array_equal(read_sample(spec, item).labels == 0, road)
    Image.fromarray(road).save(item.annotation.path)  # one bit
    np.testing.assert_array_equal(read_sample(open_dataset(root), item).labels == 0, road)
    Image.fromarray(road.astype(np.uint8) * 255).save(item.annotation.path)
    (root / "class_dict.csv").write_text("name,r,g,b\nroad,255,0,255\nbackground,0,0,0\n")
    with pytest.raises(DataError, match="is 255 a class or unlabelled"):
        open_dataset(root)


@pytest.mark.parametrize("coloured", [True, False])
def test_masks_beside_each_split_and_class_dict(coloured: bool, make_folder: Make) -> None:
    source = make_folder(6)
    palette = {
        "Sky": (128, 128, 128),
        "Void": (0, 0, 0),
        "Road": (128, 64, 128),
        "Car": (64, 0, 128),
        "Tree": (9, 9, 0),
    }
    rows = "".join(f"{name},{r},{g},{b}\n" for name, (r, g, b) in palette.items())
    (source / "class_dict.csv").write_text(f"name,r,g,b\n{rows}")
    colours = np.array(list(palette.values()), np.uint8)
    for split, indices in (("train", range(4)), ("val", range(4, 6))):
        (source / split).mkdir()
        (source / f"{split}_labels").mkdir()
        for index in indices:
            (source / "images" / f"scene_{index}.png").rename(source / split / f"scene_{index}.png")
            with Image.open(source / "masks" / f"scene_{index}.png") as picture:
                mask = np.asarray(picture)
            Image.fromarray(colours[mask] if coloured else mask).save(
                source / f"{split}_labels" / f"scene_{index}_L.png"
            )
    raw = {f"scene_{i}": np.asarray(Image.open(source / "masks" / f"scene_{i}.png")) for i in range(6)}
    shutil.rmtree(source / "images")
    shutil.rmtree(source / "masks")
    spec = open_dataset(source)
    assert spec.classes.names == ("Sky", "Road", "Car", "Tree")
    assert spec.classes.palette[1] == (128, 64, 128)
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 4, "val": 2}
    for items in spec.splits.values():
        for item in items:
            expected = np.array([0, 255, 1, 2, 3])[raw[item.id]]
            np.testing.assert_array_equal(read_sample(spec, item).labels, expected)
    (source / "class_dict.csv").write_text("name,r,g,b\nSky,128,128\n")
    with pytest.raises(DataError, match="expected name,r,g,b"):
        open_dataset(source)
