from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fullconv.cli.main import run
from fullconv.data import Sample, read_sample
from fullconv.errors import DataError, FullconvError
from fullconv.formats.open import open_dataset
from tests.builders.bombs import little_memory, png_bomb
from tests.builders.commands import checked, converted
from tests.builders.folders import picture
from tests.builders.labelme import HEIGHT, WIDTH, one_box, shape, write


def drawn(root: Path, *shapes: dict[str, Any]) -> np.ndarray:
    write(root, *shapes)
    spec = open_dataset(root)
    assert spec.layout == "labelme"
    return read_sample(spec, spec.split("train")[0]).labels


def first_sample(root: Path) -> Sample:
    spec = open_dataset(root)
    return read_sample(spec, spec.split("train")[0])


def grid() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return rows, columns


def test_every_kind_of_shape_covers_what_it_says(tmp_path: Path) -> None:
    rows, columns = grid()
    boxes = {
        "rectangle": (
            shape("rectangle", (30, 20), (10, 5)),
            (rows >= 5) & (rows <= 20) & (columns >= 10) & (columns <= 30),
        ),
        "polygon": (
            shape("polygon", (10, 5), (30, 5), (30, 20), (10, 20)),
            (rows >= 5) & (rows <= 20) & (columns >= 10) & (columns <= 30),
        ),
        "line": (shape("line", (5, 20), (50, 20)), (rows >= 15) & (rows <= 24) & (columns >= 5) & (columns <= 50)),
        "circle": (shape("circle", (30, 20), (30, 8)), (rows - 20) ** 2 + (columns - 30) ** 2 <= 12**2),
        "point": (shape("point", (30, 20)), (rows - 20) ** 2 + (columns - 30) ** 2 <= 5**2),
    }
    for kind, (given, expected) in boxes.items():
        labels = drawn(tmp_path / kind, given)
        differ = (labels == 1) != expected
        border = np.zeros_like(expected)
        for axis in (0, 1):
            for step in (-1, 1):
                border |= np.roll(expected, step, axis) != expected
        assert not (differ & ~border).any(), kind
        if kind in ("rectangle", "polygon"):
            assert not differ.any(), kind


def test_a_mask_of_labelme_5_is_cut_off_at_the_border(tmp_path: Path) -> None:
    part = np.zeros((10, 12), bool)
    part[2:8, 3:9] = True
    buffer = io.BytesIO()
    Image.fromarray(part).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    for number, (left, top) in enumerate([(20, 10), (WIDTH - 5, HEIGHT - 4), (-4, -3)]):
        labels = drawn(tmp_path / str(number), shape("mask", (left, top), (left + 11, top + 9), mask=text))
        expected = np.zeros((HEIGHT + 40, WIDTH + 40), bool)
        expected[top + 20 : top + 30, left + 20 : left + 32] = part
        np.testing.assert_array_equal(labels == 1, expected[20 : 20 + HEIGHT, 20 : 20 + WIDTH])


def test_later_shapes_lie_over_earlier_ones_and_ignored_ones_are_void(tmp_path: Path) -> None:
    labels = drawn(
        tmp_path / "data",
        shape("rectangle", (0, 0), (30, 30)),
        shape("rectangle", (10, 10), (20, 20), label="dog"),
        shape("rectangle", (15, 15), (40, 35), label="__ignore__"),
    )
    assert labels[5, 5] == 1
    assert labels[12, 12] == 2
    assert labels[18, 18] == 255
    assert labels[39, 59] == 0


def test_degenerate_outlines_follow_a_stated_rule(tmp_path: Path) -> None:
    write(tmp_path, shape("polygon", (1, 1), (5, 5)), shape("polygon", (-50, -50), (100, -50), (100, 100)))
    spec = open_dataset(tmp_path)
    assert any("1 polygon of fewer than 3 points is left out (a.json shape 0)" in reason for reason in spec.reasons)
    labels = read_sample(spec, spec.split("train")[0]).labels
    rows, columns = grid()
    assert ((labels == 1) == (columns >= rows)).mean() > 0.98  # what lies outside is cut off
    crossing = drawn(tmp_path / "crossing", shape("polygon", (0, 0), (30, 30), (30, 0), (0, 30)))
    assert crossing[15, 2] == crossing[15, 28] == 1
    assert crossing[2, 15] == crossing[28, 15] == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (shape("cuboid", (1, 1)), "shape 0 cannot be drawn .*cuboid"),
        (shape("circle", (1, 1)), "1 points for a circle"),
        (shape("polygon", (1, 1), (float("nan"), 3), (5, 5)), "no number"),
        (shape("mask", (1, 1), (4, 4), mask="AAAA"), "a mask.s PNG: not an image"),
        ({"label": "cat", "shape_type": "polygon", "points": [["x", 1]]}, "shape 0 cannot be drawn"),
        ({"label": "cat", "shape_type": "mask", "points": [[0, 0]]}, "shape 0 cannot be drawn"),
    ],
)
def test_shapes_that_cannot_be_drawn_are_named(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    write(tmp_path, given)
    with pytest.raises(DataError, match=words):
        first_sample(tmp_path)


def test_an_unknown_label_and_a_missing_image_are_named(tmp_path: Path) -> None:
    write(tmp_path, shape("point", (1, 1)))
    (tmp_path / "labels.txt").write_text("_background_\ndog\n")
    with pytest.raises(DataError, match=r"shape 0 has label 'cat', which labels\.txt does not name"):
        open_dataset(tmp_path)
    (tmp_path / "labels.txt").unlink()
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"its image a\.png is missing"):
        open_dataset(tmp_path)


def test_all_four_corners_of_a_rectangle(tmp_path: Path) -> None:
    corners = ((10, 5), (30, 5), (30, 20), (10, 20))
    labels = drawn(tmp_path / "four", shape("rectangle", *corners))
    np.testing.assert_array_equal(labels, drawn(tmp_path / "two", shape("rectangle", corners[0], corners[2])))


def test_the_image_is_found_by_the_file_s_own_name_or_inside_it(tmp_path: Path) -> None:
    write(tmp_path, shape("rectangle", (0, 0), (9, 9)))
    path = tmp_path / "a.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "imagePath": "a.json"}))
    assert first_sample(tmp_path).image.shape == (HEIGHT, WIDTH, 3)
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    embedded = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    path.write_text(json.dumps({**content, "imageData": embedded}))
    (tmp_path / "a.png").unlink()
    np.testing.assert_array_equal(first_sample(tmp_path).image, pixels)
    path.write_text(json.dumps({**content, "imageData": "no base64!"}))
    with pytest.raises(DataError, match="imageData is not base64"):
        open_dataset(tmp_path)


def write_apart(root: Path, split: str, notes: str, stated: str, names: list[str]) -> None:
    for folder in ("images", notes):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / split / f"{name}.png")
        content = {"shapes": [shape("rectangle", (10, 5), (30, 20))], "imagePath": stated.format(name)}
        (root / notes / split / f"{name}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("notes", ["labels", "annotations", "Labels"])
@pytest.mark.parametrize("stated", ["{}.png", "..\\images\\{}.png", "C:\\photos\\{}.PNG", "gone.jpg"])
def test_files_in_a_folder_of_their_own(tmp_path: Path, notes: str, stated: str) -> None:
    write_apart(tmp_path, "", notes, stated, ["a", "b"])
    spec = open_dataset(tmp_path)
    assert (spec.layout, spec.classes.names) == ("labelme", ("_background_", "cat"))
    for split in ("train", "val"):
        (item,) = spec.split(split)
        assert item.image.path.parent.name == "images"
        assert (read_sample(spec, item).labels == 1).sum() == 16 * 21


@pytest.mark.parametrize(("images", "notes"), [("JPEGImages", "Annotations"), ("imgs", "json"), ("Photos", "ann")])
def test_images_in_a_folder_of_another_name(tmp_path: Path, images: str, notes: str) -> None:
    write_apart(tmp_path, "", notes, "C:\\photos\\{}.png", ["a", "b"])
    (tmp_path / "images").rename(tmp_path / images)
    for split in ("train", "val"):
        (item,) = open_dataset(tmp_path).split(split)
        assert item.image.path == tmp_path / images / f"{item.id}.png"


def test_split_folders_on_either_side(tmp_path: Path) -> None:
    for split, names in (("train", ["a", "b"]), ("valid", ["c"])):
        write_apart(tmp_path / "outer", split, "labels", "{}.png", names)
        write_apart(tmp_path / "inner" / split, "", "labels", "{}.png", names)
        for name in names:
            write(tmp_path / "beside" / "images" / split, shape("point", (3, 3)), name=name)
    for kind in ("outer", "inner", "beside"):
        spec = open_dataset(tmp_path / kind)
        assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
            "train": ["a", "b"], "val": ["c"],
        }  # fmt: skip
        assert spec.layout == "labelme"


def test_masks_beside_win_and_nothing_outside_is_read(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_apart(root, "", "labels", "../../outside/{}.png", ["a", "b"])
    (tmp_path / "outside").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (WIDTH, HEIGHT), "red").save(tmp_path / "outside" / f"{name}.png")
    assert open_dataset(root).split("train")[0].image.path.is_relative_to(root)
    (root / "masks").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(root / "masks" / f"{name}.png")
    assert open_dataset(root).layout == "folder"


def test_what_is_drawn_thicker_or_left_unlabelled_is_counted(tmp_path: Path) -> None:
    lines = [shape("line", (5, 20), (50, 20)), shape("point", (30, 20)), shape("point", (3, 2))]
    write(tmp_path, *lines, shape("rectangle", (10, 5), (30, 20), label="__ignore__"))
    (tmp_path / "labels.txt").write_text("__ignore__\ncat\n")
    reasons = open_dataset(tmp_path).reasons
    pen = "lines 10 pixels wide, points 5 around"
    assert f"shapes without an area get one, as LabelMe draws them: 1 line, 2 point ({pen})" in reasons
    assert "1 shapes are labelled __ignore__: unlabelled" in reasons
    assert "what no shape covers is unlabelled: no class is called _background_" in reasons


def test_labelme_at_another_size_is_refused(tmp_path: Path) -> None:
    one_box(tmp_path, "a", "cat", imageHeight=80, imageWidth=120)
    with pytest.raises(DataError, match=r"labelled at 120x80, but a\.png is 60x40"):
        open_dataset(tmp_path)
    one_box(tmp_path, "a", "cat", imageHeight=40, imageWidth=60)
    (tmp_path / "settings.json").write_text("{ // a comment\n}")
    assert open_dataset(tmp_path).layout == "labelme"


@pytest.mark.parametrize("shapes", [None, [5], "x"])
def test_labelme_of_another_form_is_one_line(
    shapes: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_box(tmp_path, "a", "cat", shapes=shapes)
    assert run(["check", str(tmp_path)]) == 3
    assert "shapes is not a list of shapes" in capsys.readouterr().err + capsys.readouterr().out


def test_a_labelme_file_with_a_png_bomb(tmp_path: Path) -> None:
    shape = {"label": "a", "points": [[0, 0], [9, 9]], "shape_type": "mask",
             "mask": base64.b64encode(png_bomb(66_000, 66_000)).decode()}  # fmt: skip
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    content = {"shapes": [shape], "imagePath": "a.jpg", "imageData": None, "imageHeight": 20, "imageWidth": 20}
    (tmp_path / "a.json").write_text(json.dumps(content))
    spec = open_dataset(tmp_path)
    item = next(iter(spec.splits.values()))[0]
    with little_memory(), pytest.raises(DataError, match="more than the limit of 1600"):
        item.annotation.label_map(2, 255)
    (tmp_path / "a.jpg").unlink()
    content |= {"shapes": [], "imageData": base64.b64encode(png_bomb(66_000, 66_000)).decode()}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with little_memory(), pytest.raises(FullconvError, match="more than the limit of 536870912"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("folder", ["labels", "annotations"])
def test_labelme_files_beside_images(tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    shape = {
        "label": "car",
        "points": [[2, 2], [20, 2], [20, 20]],
        "group_id": None,
        "shape_type": "polygon",
        "flags": {},
    }
    size = {"imageHeight": 32, "imageWidth": 32, "imageData": None}
    (root / folder).mkdir(parents=True)
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
        content = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imagePath": f"..\\images\\{number}.png", **size}
        (root / folder / f"{number}.json").write_text(json.dumps(content))
    assert checked(root, capsys)["layout"] == "labelme"
    drawn = Image.new("1", (32, 32))
    ImageDraw.Draw(drawn).polygon([(2, 2), (20, 2), (20, 20)], fill=1, outline=1)
    car = int(np.asarray(drawn).sum())
    assert converted(root, capsys)[:2] == (["_background_", "car"], [[1024 - car, car]] * 6)
