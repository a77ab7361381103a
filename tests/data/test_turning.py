"""EXIF orientation: images, masks and outlines are turned by one rule, through the commands that people type."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fullconv.data import read_sample
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked
from tests.builders.orientation import corners, pairs, photograph, stored


def labelme(root: Path, points: list[list[float]], size: tuple[int, int], number: int) -> None:
    shape = {"label": "car", "points": points, "shape_type": "polygon"}
    content = {"shapes": [shape], "imagePath": f"{number}.jpg", "imageHeight": size[0], "imageWidth": size[1]}
    (root / f"{number}.json").write_text(json.dumps(content))


def coco(root: Path, points: list[list[float]], size: tuple[int, int], number: int) -> None:
    path = root / "annotations.json"
    empty: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "car"}]}
    content = json.loads(path.read_text()) if path.is_file() else empty
    content["images"].append({"id": number, "file_name": f"{number}.jpg", "height": size[0], "width": size[1]})
    content["annotations"].append(
        {"id": number + 1, "image_id": number, "category_id": 1, "segmentation": [[v for p in points for v in p]]}
    )
    path.write_text(json.dumps(content))


def cvat(root: Path, points: list[list[float]], size: tuple[int, int], number: int) -> None:
    path = root / "annotations.xml"
    rows = path.read_text().removesuffix("</annotations>") if path.is_file() else "<annotations>"
    outline = ";".join(f"{x},{y}" for x, y in points)
    rows += f'<image id="{number}" name="{number}.jpg" width="{size[1]}" height="{size[0]}">'
    path.write_text(f'{rows}<polygon label="car" points="{outline}"/></image></annotations>')


def label_studio(root: Path, points: list[list[float]], size: tuple[int, int], number: int) -> None:
    path = root / "tasks.json"
    tasks = json.loads(path.read_text()) if path.is_file() else []
    percent = [[100 * x / size[1], 100 * y / size[0]] for x, y in points]
    result = {
        "id": "a", "from_name": "label", "to_name": "image", "type": "polygonlabels", "original_width": size[1],
        "original_height": size[0], "image_rotation": 0,
        "value": {"points": percent, "polygonlabels": ["car"], "closed": True},
    }  # fmt: skip
    annotation = {"id": number, "result": [result]}
    tasks.append({"id": number, "data": {"image": f"images/{number}.jpg"}, "annotations": [annotation]})
    path.write_text(json.dumps(tasks))


TOOLS = {"labelme": labelme, "coco": coco, "cvat": cvat, "label_studio": label_studio}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("upright", [True, False])
def test_outlines_are_turned_by_the_size_that_their_file_states(
    tool: str, upright: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    for number, orientation in enumerate((6, 8, 1)):
        photograph(root / ("images" if tool in ("cvat", "label_studio") else "") / f"{number}.jpg", orientation)
        TOOLS[tool](root, *corners(orientation, upright), number)
    said = str(checked(root, capsys)["printed"])
    how = "its outlines are taken as drawn on the image as it is shown" if upright else "by the size that its file"
    assert f"2 of 3 pairs: image with an EXIF orientation{':' if upright else ' was labelled as stored,'} {how}" in said
    spec = open_dataset(root)
    samples = [read_sample(spec, item) for item in sorted((*spec.split("train"), *spec.split("val")), key=str)]
    assert sorted(sample.image.shape[:2] for sample in samples) == [(24, 40), (40, 24), (40, 24)]
    for sample in samples:  # the outline lies on the car, but for the tools' own edges
        assert (sample.labels != (sample.image[..., 0] > 100)).sum() <= 2 * (17 + 7 + 2)
        assert sample.labels.sum() >= 17 * 7


def test_yolo_outlines_lie_on_the_image_as_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number, orientation in enumerate((6, 3, 1)):
        photograph(root / "images" / "train" / f"{number}.jpg", orientation)
        points, size = corners(orientation, True)
        numbers = " ".join(f"{x / size[1]} {y / size[0]}" for x, y in points)
        (root / "labels" / "train").mkdir(parents=True, exist_ok=True)
        (root / "labels" / "train" / f"{number}.txt").write_text(f"0 {numbers}\n")
    (root / "data.yaml").write_text("train: images/train\nnames: [car]\n")
    assert "2 of 3 pairs: image with an EXIF orientation: its outlines" in str(checked(root, capsys)["printed"])
    spec = open_dataset(root)
    for item in (*spec.split("train"), *spec.split("val")):
        sample = read_sample(spec, item)
        assert (sample.labels != (sample.image[..., 0] > 100)).sum() <= 2 * (17 + 7 + 2)


@pytest.mark.parametrize("orientation", [3, 6])
def test_images_and_masks_in_containers_are_turned_too(
    orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shards"
    root.mkdir()
    files = pairs(tmp_path / "files", orientation, stored(), of_mask=orientation)
    with tarfile.open(root / "train-000000.tar", "w") as shard:
        for number in range(4):
            shard.add(files / "images" / f"{number}.jpg", f"{number}.jpg")
            shard.add(files / "masks" / f"{number}.png", f"{number}.seg.png")
    assert "EXIF" not in str(checked(root, capsys)["printed"])
    spec = open_dataset(root)
    for item in (*spec.split("train"), *spec.split("val")):
        sample = read_sample(spec, item)
        assert np.array_equal(sample.labels == 1, sample.image[..., 0] > 100)
