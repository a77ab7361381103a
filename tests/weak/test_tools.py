"""Strokes, points, boxes and tags as annotation tools write them, from their files to labels, by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.formats.open import open_dataset
from fullconv.weak import Supervision, supervise
from tests.builders.annotations import HEIGHT, NAMES, WIDTH, pictures
from tests.builders.commands import TINY, checked

VOID = 255


def labelme(root: Path, shapes: list[dict[str, object]], flags: dict[str, bool]) -> None:
    pictures(root)
    for name in NAMES:
        content = {
            "imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": None,
            "shapes": shapes, "flags": flags,
        }  # fmt: skip
        (root / f"{name}.json").write_text(json.dumps(content))
    (root / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")


def labelme_lines(root: Path) -> None:
    line = {"shape_type": "linestrip", "label": "cat", "points": [[2, 3], [9, 3], [9, 8]]}
    ground = {"shape_type": "line", "label": "_background_", "points": [[14, 2], [14, 12]]}
    labelme(root, [line, ground], {})


def labelme_points(root: Path) -> None:
    labelme(
        root, [{"shape_type": "point", "label": name, "points": [[x, 6]]} for name, x in (("cat", 4), ("dog", 12))], {}
    )


def labelme_flags(root: Path) -> None:
    labelme(root, [], {"cat": True, "dog": False, "blurred": True})


def cvat(root: Path, shapes: str) -> None:
    pictures(root / "images")
    images = "".join(
        f'<image id="{i}" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'
        for i, name in enumerate(NAMES)
    )
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{images}</annotations>")


def cvat_polylines(root: Path) -> None:
    cvat(root, '<polyline label="cat" points="2,3;9,3;9,8"/><polyline label="background" points="14,2;14,12"/>')


def cvat_points(root: Path) -> None:
    cvat(root, '<points label="cat" points="4,6"/><points label="dog" points="12,6"/>')


def cvat_boxes(root: Path) -> None:
    cvat(root, '<box label="cat" xtl="2" ytl="3" xbr="9" ybr="8"/>')


def cvat_tags(root: Path) -> None:
    cvat(root, '<tag label="cat"/>')


def label_studio(root: Path, results: list[dict[str, object]]) -> None:
    pictures(root / "images")
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    tasks = [
        {
            "id": i, "predictions": [], "data": {"image": f"{name}.png"},
            "annotations": [{"result": [{**size, **one} for one in results]}],
        }
        for i, name in enumerate(NAMES)
    ]  # fmt: skip
    (root / "project.json").write_text(json.dumps(tasks))


def label_studio_points(root: Path) -> None:
    places = (("cat", 20), ("dog", 60))
    label_studio(
        root, [{"type": "keypointlabels", "value": {"x": x, "y": 37.5, "keypointlabels": [n]}} for n, x in places]
    )


def label_studio_choices(root: Path) -> None:
    label_studio(root, [{"type": "choices", "value": {"choices": ["cat"]}}])


def png_strokes(root: Path) -> None:
    pictures(root / "images")
    (root / "masks").mkdir()
    for name in NAMES:
        labels = np.full((HEIGHT, WIDTH), VOID, np.uint8)
        labels[3, 2:10], labels[2:12, 14] = 1, 0
        Image.fromarray(labels).save(root / "masks" / f"{name}.png")
    (root / "dataset.yaml").write_text("classes: [background, cat]\n")


KINDS: dict[str, tuple[Callable[[Path], None], dict[str, int]]] = {
    "scribbles labelme": (labelme_lines, {"cat": 38, "background": 33}),
    "points labelme": (labelme_points, {"cat": 9, "dog": 9}),
    "tags labelme": (labelme_flags, {}),
    "scribbles cvat": (cvat_polylines, {"cat": 38, "background": 33}),
    "points cvat": (cvat_points, {"cat": 9, "dog": 9}),
    "boxes cvat": (cvat_boxes, {"cat": 35, "background": HEIGHT * WIDTH - 35}),
    "tags cvat": (cvat_tags, {}),
    "points labelstudio": (label_studio_points, {"cat": 9, "dog": 9}),
    "tags labelstudio": (label_studio_choices, {}),
    "scribbles png": (png_strokes, {"cat": 8, "background": 10}),
}


def pixels(found: Supervision) -> dict[str, int]:
    (item,) = found.spec.split("train")
    labels = read_sample(found.spec, item).labels
    names = found.spec.classes.names
    counts = {name.strip("_"): int((labels == label).sum()) for label, name in enumerate(names)}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("name", KINDS)
def test_what_tools_write_teaches_as_what_it_is(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind, (build, expected) = name.split()[0], KINDS[name]
    build(tmp_path / "data")
    spec = open_dataset(tmp_path / "data")
    found = supervise(spec, "auto")
    assert list(found.counts().items()) == [(kind, 1)]
    assert pixels(found) == expected
    assert pixels(supervise(spec, kind)) == expected
    assert found.against == kind
    report = checked(tmp_path / "data", capsys)
    assert f"learns from {kind} of 1 image" in str(report["printed"])
    assert report["supervision"] == list(supervise(spec, "auto", spread=True).lines)
    if kind == "tags":
        source = found.spec.split("train")[0].annotation
        assert {spec.classes.names[label] for label in source.tags()} == {"cat"}


def test_train_says_what_is_wrong_in_a_line_and_check_lists_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cvat(
        tmp_path / "data",
        '<box label="cat" xtl="2" ytl="3" xbr="9" ybr="8"/><box label="dog" xtl="50" ytl="3" xbr="60" ybr="8"/>'
        '<box label="cat" xtl="9" ytl="3" xbr="2" ybr="8"/>',
    )
    lines = [
        f"{tmp_path}/data: boxes outside of their image, left out: 2 ({tmp_path}/data/annotations.xml: image ",
        f"{tmp_path}/data: boxes that are empty or inverted (end before they begin), left out: 2 (",
        f"{tmp_path}/data: never annotated in train, so never learned: dog",
    ]
    found = checked(tmp_path / "data", capsys)["notes"]
    assert isinstance(found, list)
    assert [sum(note.startswith(line) for note in found) for line in lines] == [1, 1, 1]
    options = ["--encoder", "resnet10t", "--epochs", "1", "--rounds", "1", "--box-labels", "filled", "--workers", "0"]
    assert run(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--crop", "32", "32", *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [sum(one.startswith(line) for one in said) for line in lines] == [1, 1, 1]
    assert run(["evaluate", str(tmp_path / "run"), str(tmp_path / "data")]) == 0
    assert "1 of 1 images have no mask: scored against the boxes, lines and points that" in capsys.readouterr().out
    begins = next(number for number, line in enumerate(said) if line.startswith("epoch"))
    assert all(begins > number for number, one in enumerate(said) if one.startswith(tuple(lines)))


@pytest.mark.parametrize("verb", ["train", "check"])
def test_data_without_the_kind_is_refused_in_one_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cvat_tags(tmp_path / "data")
    out = ["--out", str(tmp_path / "run")] if verb == "train" else []
    assert run([verb, str(tmp_path / "data"), "--labels", "boxes", *out]) == 3
    said = capsys.readouterr()
    line = f"{tmp_path}/data: the train images have no boxes, and no mask to derive them from: nothing to teach with"
    assert line in said.err + said.out
    assert not (tmp_path / "run").exists()


def test_boxes_without_any_mask_train_after_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As VOC's XML has them: no label map at all."""
    root = tmp_path / "data"
    pictures(root / "JPEGImages")
    (root / "Annotations").mkdir()
    thing = "<object><name>cat</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
    for name in NAMES:
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{thing}</annotation>")
    options = ["--encoder", "resnet10t", "--epochs", "1", "--rounds", "1", "--box-labels", "filled", "--workers", "0"]
    assert run(["train", str(root), "--out", str(tmp_path / "run"), "--crop", "32", "32", *options]) == 0
    said = capsys.readouterr().out
    assert "learns from boxes of 1 image\n" in said
    assert "mean IoU against boxes, not masks" in said
    (root / "Annotations" / "a.xml").write_text(f"<annotation>{thing.replace('>9<', '>1<')}</annotation>")
    assert run(["train", str(root), "--out", str(tmp_path / "other"), *options]) == 3
    assert "a.xml: object 0 cannot be read (a box that ends before it begins)" in capsys.readouterr().err


def test_boxes_of_another_size_than_the_image_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label map would not fit; boxes would, in the wrong place."""
    (tmp_path / "images").mkdir()
    entries = [{"id": i, "file_name": f"{i}.png", "height": 48, "width": 64} for i in range(4)]
    for entry in entries:
        Image.new("RGB", (32, 24)).save(tmp_path / "images" / str(entry["file_name"]))
    marks = [{"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [4, 4, 20, 20]} for i in range(4)]
    content = {"images": entries, "annotations": marks, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    assert run(["train", str(tmp_path), "--out", str(tmp_path / "run"), *TINY]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "labelled at 64x48, but 0.png is 32x24; give the image that was labelled" in line
    assert not (tmp_path / "run").exists()
