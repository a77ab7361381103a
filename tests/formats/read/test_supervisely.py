from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset

HEIGHT, WIDTH = 20, 30
CLASSES = [
    {"title": "road", "shape": "polygon", "color": "#FF0080"},
    {"title": "car", "shape": "bitmap", "color": "#010203"},
    {"title": "lamp", "shape": "point", "color": "#0A0B0C"},
]


def shape(kind: str, label: str, **fields: Any) -> dict[str, Any]:
    return {"geometryType": kind, "classTitle": label, "tags": [], **fields}


def polygon(label: str, exterior: list[list[float]], *interior: list[list[float]]) -> dict[str, Any]:
    return shape("polygon", label, points={"exterior": exterior, "interior": list(interior)})


def bitmap(label: str, mask: np.ndarray, x: int, y: int, mode: str = "palette") -> dict[str, Any]:
    file = io.BytesIO()
    if mode == "alpha":
        Image.fromarray(np.dstack([np.full((*mask.shape, 3), 255, np.uint8), mask * 255])).save(file, "PNG")
    else:
        picture = Image.fromarray(mask)
        picture.putpalette([0, 0, 0, 255, 255, 255])  # as Supervisely's own SDK writes it
        picture.save(file, "PNG", transparency=0, optimize=0)
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return shape("bitmap", label, bitmap={"data": data, "origin": [x, y]})


def put(folder: Path, name: str, *shapes: dict[str, Any], tags: tuple[str, ...] = (), **size: int) -> None:
    for part in ("ann", "img"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "img" / name)
    content = {
        "description": "", "tags": [{"name": tag, "value": None} for tag in tags],
        "size": {"height": HEIGHT, "width": WIDTH, **size}, "objects": list(shapes),
    }  # fmt: skip
    (folder / "ann" / f"{name}.json").write_text(json.dumps(content))


def describe(root: Path) -> None:
    (root / "meta.json").write_text(json.dumps({"classes": CLASSES, "tags": []}))


def drawn(root: Path, *shapes: dict[str, Any]) -> np.ndarray:
    put(root / "ds0", "a.png", *shapes)
    describe(root)
    spec = open_dataset(root)
    assert (spec.layout, spec.classes.names) == ("supervisely", ("background", "road", "car"))
    return read_sample(spec, pickle.loads(pickle.dumps(spec.split("train")[0]))).labels


def test_polygons_have_holes_and_later_shapes_lie_above(tmp_path: Path) -> None:
    outer = [[2, 3], [20, 3], [20, 15], [2, 15]]
    inner = [[5, 6], [10, 6], [10, 9], [5, 9]]
    rectangle = shape("rectangle", "car", points={"exterior": [[15, 10], [25, 18]], "interior": []})
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[3:16, 2:21] = 1
    expected[6:10, 5:11] = 0  # a hole with its outline, as cv2.fillPoly draws it
    expected[10:19, 15:26] = 2
    np.testing.assert_array_equal(drawn(tmp_path, polygon("road", outer, inner), rectangle), expected)


@pytest.mark.parametrize("mode", ["palette", "alpha"])
def test_bitmaps_are_where_their_origin_says(tmp_path: Path, mode: str) -> None:
    mask = np.random.default_rng(0).integers(0, 2, (7, 11), dtype=np.uint8)
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[4:11, 9:20] = 2 * mask
    np.testing.assert_array_equal(drawn(tmp_path, bitmap("car", mask, 9, 4, mode)), expected)


def test_supervisely_s_own_example_of_a_bitmap(tmp_path: Path) -> None:
    ring = bitmap("car", np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8), 0, 0)
    assert (drawn(tmp_path, ring)[:3, :3] == [[2, 2, 2], [2, 0, 2], [2, 2, 2]]).all()


def test_what_has_no_inside_is_counted(tmp_path: Path) -> None:
    point = shape("point", "lamp", points={"exterior": [[1, 1]], "interior": []})
    drawn(tmp_path, point, point, polygon("road", [[1, 1], [2, 2]]), shape("line", "road", points={"exterior": []}))
    reasons = open_dataset(tmp_path).reasons
    assert "what has no inside is left out: 1 line, 2 point, 1 polygon of fewer than 3 points" in reasons
    assert "classes of a shape without an area are left out: 1" in reasons


def test_folders_and_tags_are_splits(tmp_path: Path) -> None:
    box = polygon("road", [[2, 3], [20, 3], [20, 15]])
    for folder, name in (("train", "a.png"), ("train", "b.png"), ("my_val", "a.png")):
        put(tmp_path / "folders" / folder, name, box)
    for name, tag in (("a.png", "train"), ("b.png", "train"), ("c.png", "val")):
        put(tmp_path / "tags" / "ds0", name, box, tags=(tag, "sunny"))
    for kind in ("folders", "tags"):
        describe(tmp_path / kind)
        spec = open_dataset(tmp_path / kind)
        assert {split: len(items) for split, items in spec.splits.items()} == {"train": 2, "val": 1}
    ids = [item.id for items in open_dataset(tmp_path / "folders").splits.values() for item in items]
    assert sorted(ids) == ["my_val/a", "train/a", "train/b"]


def test_a_data_set_alone_and_nested_ones(tmp_path: Path) -> None:
    box = polygon("road", [[2, 3], [20, 3], [20, 15]])
    put(tmp_path / "project" / "ds0", "a.png", box)
    put(tmp_path / "project" / "ds0", "b.png", box)
    spec = open_dataset(tmp_path / "project" / "ds0")  # without meta.json: the classes found
    assert (spec.layout, spec.classes.names) == ("supervisely", ("background", "road"))
    assert sorted(item.id for items in spec.splits.values() for item in items) == ["a", "b"]
    describe(tmp_path / "project")
    assert open_dataset(tmp_path / "project" / "ds0").classes.names == ("background", "road", "car")
    (tmp_path / "nested" / "outer").mkdir(parents=True)
    (tmp_path / "project" / "ds0").rename(tmp_path / "nested" / "outer" / "ds1")
    describe(tmp_path / "nested")
    spec = open_dataset(tmp_path / "nested")
    assert sum(len(items) for items in spec.splits.values()) == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            {"shape": polygon("tree", [[1, 1], [5, 1], [5, 5]])},
            "object 0 has class 'tree', which meta.json does not name",
        ),
        ({"shape": polygon("road", [[1, 1], [5, 1], [float("nan"), 5]])}, "object 0 cannot be read"),
        ({"shape": shape("bitmap", "car", bitmap={"data": "!", "origin": [0, 0]})}, "object 0 cannot be read"),
        ({"height": 99}, "labelled at 30x99, but a.png is 30x20"),
        ({"image": False}, r"1 of 1 annotations have no image in img/ \(a.png.json\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, spoil: dict[str, Any], words: str) -> None:
    shapes = [spoil["shape"]] if "shape" in spoil else []
    put(tmp_path / "ds0", "a.png", *shapes, **({"height": spoil["height"]} if "height" in spoil else {}))
    describe(tmp_path)
    if "image" in spoil:
        (tmp_path / "ds0" / "img" / "a.png").unlink()
    with pytest.raises(DataError, match=words):
        open_dataset(tmp_path)


@pytest.mark.parametrize("wrong", ["outside", "bomb", "no PNG"])
def test_bitmaps_that_cannot_be_drawn_are_refused(tmp_path: Path, wrong: str) -> None:
    if wrong == "outside":
        entry = bitmap("car", np.ones((5, 5), np.uint8), WIDTH - 2, 0)
    else:
        content = bytes(1 << 24) if wrong == "bomb" else b"text"
        data = base64.b64encode(zlib.compress(content)).decode()
        entry = shape("bitmap", "car", bitmap={"data": data, "origin": [0, 0]})
    with pytest.raises(DataError, match="leads out of the image" if wrong == "outside" else "not a packed PNG"):
        drawn(tmp_path, entry)


def test_a_folder_above_projects(tmp_path: Path) -> None:
    box = polygon("road", [[2, 3], [20, 3], [20, 15]])
    put(tmp_path / "one" / "ds0", "a.png", box)
    describe(tmp_path / "one")
    assert open_dataset(tmp_path).classes.names == ("background", "road", "car")
    put(tmp_path / "two" / "ds0", "a.png", box)
    describe(tmp_path / "two")
    with pytest.raises(DataError, match="holds several data sets"):
        open_dataset(tmp_path)
