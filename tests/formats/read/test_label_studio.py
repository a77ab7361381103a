from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read.label_studio_rle import unpack
from tests.builders.commands import checked, converted
from tests.builders.folders import picture

HEIGHT, WIDTH = 10, 20


def pack(values: list[int], single: bool, lengths: tuple[int, ...] = (3, 4, 8, 16)) -> list[int]:
    """rle-pack's coding as its description has it: runs, or values one by one in blocks of up to 8."""
    text = f"{len(values):032b}{8 - 1:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    place = 0
    while place < len(values):
        stop = place + 1
        if single:
            stop = min(place + 8, len(values))
            text += f"000{stop - place - 1:03b}" + "".join(f"{value:08b}" for value in values[place:stop])
        else:
            while stop < len(values) and values[stop] == values[place]:
                stop += 1
            choice = next(i for i, length in enumerate(lengths) if stop - place <= 2**length)
            text += f"1{choice:02b}{stop - place - 1:0{lengths[choice]}b}{values[place]:08b}"
        place = stop
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def result(kind: str, labels: list[str], **value: Any) -> dict[str, Any]:
    return {
        "id": "r", "type": kind, "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
        "value": {kind: labels, **value},
    }  # fmt: skip


def box(label: str, x: float, y: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    return result("rectanglelabels", [label], x=x, y=y, width=width, height=height, **more)


def task(number: int, name: str, *annotations: dict[str, Any] | list[Any]) -> dict[str, Any]:
    entries = [entry if isinstance(entry, dict) else {"result": entry} for entry in annotations]
    return {"id": number, "annotations": entries, "predictions": [], "data": {"meta": 3, "image": name}}


def make(root: Path, *tasks: dict[str, Any], name: str = "project-1.json") -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    for file in ("a.png", "b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / file)
    (root / name).write_text(json.dumps(tasks))
    return root


def one(root: Path, *results: dict[str, Any]) -> np.ndarray:
    spec = open_dataset(make(root, task(1, "/data/upload/1/0a1b2c3d-a.png", list(results))))
    return read_sample(spec, pickle.loads(pickle.dumps(spec.split("train")[0]))).labels


def test_rle_by_a_stream_composed_by_hand() -> None:
    header = f"{7:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"  # 7 values of 8 bits; counts of 3, 4, 8, 16
    blocks = "1" + "00" + "011" + "11111111" + "0" + "01" + "0010" + "00000001" + "00000010" + "10000000"
    bits = (header + blocks).ljust(-(-len(header + blocks) // 8) * 8, "0")
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert unpack(packed).tolist() == [255, 255, 255, 255, 1, 2, 128]
    with pytest.raises(EOFError):
        unpack(packed[:-2])


@pytest.mark.parametrize("single", [True, False])
def test_brushes_are_where_alpha_is(single: bool, tmp_path: Path) -> None:
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) > 0.6
    rgba = np.full((HEIGHT, WIDTH, 4), 9)
    rgba[..., 3] = mask * 200
    brush = result("brushlabels", ["road"], format="rle", rle=pack(rgba.ravel().tolist(), single))
    np.testing.assert_array_equal(one(tmp_path / "p", brush), mask.astype(np.uint8))
    brush["value"]["rle"] = brush["value"]["rle"][:-20]
    with pytest.raises(DataError, match="task 1: a brush mask that ends too soon"):
        one(tmp_path / "p", brush)
    brush["value"]["rle"] = pack([0] * 8, single)
    with pytest.raises(DataError, match="a brush mask of 8 values, expected 4 for each pixel of 20x10"):
        one(tmp_path / "p", brush)
    brush["value"]["rle"] = [1, 2, 300]
    with pytest.raises(DataError, match="result r cannot be read"):
        one(tmp_path / "p", brush)


def test_polygons_and_rectangles_in_percent_later_over_earlier(tmp_path: Path) -> None:
    polygon = result("polygonlabels", ["car"], points=[[10, 20], [50, 20], [50, 60], [10, 60]], closed=True)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:7, 2:11] = 1  # Pillow's polygon holds its outline
    expected[5:9, 8:13] = 2
    np.testing.assert_array_equal(one(tmp_path / "p", polygon, box("road", 40, 50, 20, 30)), expected)
    expected[2:7, 2:11] = 1
    np.testing.assert_array_equal(one(tmp_path / "p", box("road", 40, 50, 20, 30), polygon), expected)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:7, 5:11] = 1  # turned clockwise by 90 degrees about its top left corner (10, 2)
    np.testing.assert_array_equal(one(tmp_path / "p", box("x", 50, 20, 20, 50, rotation=90)), expected)


def test_ellipses_have_their_centre_at_x_y(tmp_path: Path) -> None:
    labels = one(tmp_path / "p", result("ellipselabels", ["x"], x=50, y=50, radiusX=30, radiusY=30, rotation=0))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((columns - 10) / 6) ** 2 + ((rows - 5) / 3) ** 2
    assert (labels[inside < 0.85] == 1).all()
    assert (labels[inside > 1.75] == 0).all()


def test_which_annotation_counts_and_what_is_left_out(tmp_path: Path) -> None:
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    bare = result("brushlabels", [], rle=[0])
    two = result("rectanglelabels", ["yes", "also"], x=0, y=0, width=9, height=9)
    root = make(
        tmp_path / "p",
        task(1, "a.png", {"was_cancelled": True, "result": [box("no", 0, 0, 9, 9)]},
             [two, choice, bare], [box("second", 0, 0, 9, 9)]),
        task(2, "http://host/data/local-files/?d=folder/b.png", []),
        task(3, "c.png"),
        task(4, "d.png", {"was_cancelled": True, "result": []}),
    )  # fmt: skip
    spec = open_dataset(root)
    assert (spec.layout, spec.classes.names) == ("label_studio", ("background", "yes"))
    assert sorted(item.id for items in spec.splits.values() for item in items) == ["a", "b"]
    for words in (
        "2 tasks without an annotation (or cancelled) are left out",
        "1 task has several annotations, of which one counts: 1 the first that is not cancelled (none is marked",
        "1 annotation holds no region",
        "1 region has several labels; the first counts",
        "left out: 1 brushlabels without a label or an inside, 1 choices",
        "class 0 is background",
    ):
        assert any(words in reason for reason in spec.reasons), words


def test_classes_background_and_dataset_yaml(tmp_path: Path) -> None:
    labels = one(tmp_path / "p", box("sky", 0, 0, 100, 40), box("Background", 0, 80, 100, 20))
    assert open_dataset(tmp_path / "p").classes.names == ("Background", "sky")
    assert (labels[0, 0], labels[6, 0], labels[9, 0]) == (1, 0, 0)
    (tmp_path / "p/dataset.yaml").write_text(yaml.safe_dump({"classes": ["sky", "sea"]}))
    labels = one(tmp_path / "p", box("sky", 0, 0, 100, 40))
    assert (labels[0, 0], labels[9, 0]) == (0, 255)  # no background is named: unlabelled


def test_exports_named_as_splits(tmp_path: Path) -> None:
    root = make(tmp_path / "p", task(1, "a.png", [box("x", 0, 0, 50, 50)]), name="train.json")
    make(root, task(2, "b.png", [box("y", 0, 0, 50, 50)]), name="val.json")
    spec = open_dataset(root)
    assert [[item.id for item in spec.split(split)] for split in ("train", "val")] == [["a"], ["b"]]
    assert spec.classes.names == ("background", "x", "y")
    make(root, task(3, "b.png", [box("y", 0, 0, 50, 50)]), name="more.json")
    with pytest.raises(DataError, match="3 Label Studio exports"):
        open_dataset(root)


def test_bad_tasks(tmp_path: Path) -> None:
    good = box("x", 0, 0, 50, 50)
    for tasks, words in (
        ([task(1, "gone.png", [good])], "the image gone.png of task 1 is missing; put it into images/"),
        ([task(1, "some text", [good])], "task 1 names no image file"),
        ([task(1, "a.png", [good]), task(2, "01234567-a.png", [good])], "tasks 1 and 2 are both of a.png"),
        ([task(1, "a.png", [{**good, "original_width": 40}])], "labelled at 40x10, but the image is 20x10"),
        ([task(1, "a.png", [{**good, "image_rotation": 90}])], "the image turned by 90 degrees"),
        ([task(1, "a.png", [box("x", 0, 0, 1e12, 1)])], "beyond 1e+06 pixels"),
        ([task(1, "a.png", [box("x", "left", 0, 1, 1)])], "result r cannot be read (ValueError"),
        ([task(1, "a.png", [good, result("bitmasklabels", ["x"])])], "task 1 holds a bitmasklabels"),
        ([task(1, "a.png")], "none of its tasks (1) has an annotation"),
        ([task(1, "a.png", [])], "no labels found in it"),
        ([{"image": "a.png", "id": 1, "annotator": 1, "annotation_id": 2}], "'JSON-MIN'"),
        ([{"data": {"image": "a.png"}, "predictions": [{"result": []}]}], "no annotations yet; put its export"),
    ):
        root = make(tmp_path / "p", *tasks)
        with pytest.raises(DataError, match=r"project-1\.json") as error:
            open_dataset(root)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    (root / "project-1.json").write_text('[{"id": 1, "annotations": [')
    with pytest.raises(DataError, match="not readable JSON"):
        open_dataset(root)


def test_brush_png_without_the_json_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "p", task(1, "a.png", [box("x", 0, 0, 50, 50)]))
    Image.new("L", (WIDTH, HEIGHT)).save(root / "task-1-annotation-2-by-3-tag-road-0.png")
    assert open_dataset(root).layout == "label_studio"
    (root / "project-1.json").unlink()
    with pytest.raises(DataError, match="'Brush labels to PNG' names tasks, not images; export as 'JSON'"):
        open_dataset(root)


def test_images_lie_where_the_task_says_or_are_named_by_the_upload(tmp_path: Path) -> None:
    (tmp_path / "photos" / "day").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / "day" / "a (1).png")
    stated = task(1, "a.png", [box("cat", 0, 0, 50, 50)])
    stated["data"] = {"image": "/data/local-files/?d=home/me/photos/day/a%20(1).png"}
    make(tmp_path, stated)
    shutil.rmtree(tmp_path / "images")
    spec = open_dataset(tmp_path)
    assert spec.split("train")[0].image.path == tmp_path / "photos" / "day" / "a (1).png"
    stated["data"], stated["file_upload"] = {"image": "https://storage.example/object/77"}, "photos/day/a (1).png"
    (tmp_path / "project-1.json").write_text(json.dumps([stated]))
    assert len(open_dataset(tmp_path).split("train")) == 1


@pytest.mark.parametrize("marked", [True, False])
def test_two_annotators(tmp_path: Path, marked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"

    def annotation(side: int, truth: bool) -> dict[str, object]:
        value = {"points": [[0, 0], [side, 0], [side, side], [0, side]], "polygonlabels": ["car"]}
        sizes = {"original_width": 32, "original_height": 32, "image_rotation": 0}
        return {"ground_truth": truth, "result": [{"type": "polygonlabels", **sizes, "value": value}]}

    tasks = []
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
        both = [annotation(50, False), annotation(25, marked)]
        tasks.append({"id": number, "data": {"image": f"images/{number}.png"}, "annotations": both})
    (root / "tasks.json").write_text(json.dumps(tasks))
    said = "the one marked as ground truth" if marked else "the first that is not cancelled (none is marked"
    assert f"6 tasks have several annotations, of which one counts: 6 {said}" in str(checked(root, capsys)["printed"])
    car = 9 * 9 if marked else 17 * 17  # a quarter or half of the sides and the outline, as Pillow draws it
    assert converted(root, capsys)[:2] == (["background", "car"], [[1024 - car, car]] * 6)
