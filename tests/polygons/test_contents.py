"""Polygons in the formats of others, read again by their own packages and by our readers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import yaml
from PIL import Image
from pycocotools.coco import COCO

from fullconv.formats.open import open_dataset
from fullconv.polygons import contents
from fullconv.polygons.trace import trace
from fullconv.spec import ClassSet
from tests.builders.polygons import drawn

CLASSES = ClassSet(("background", "road", "car"), ((0, 0, 0), (90, 90, 90), (200, 0, 0)))
SIZE = (40, 60)


def rings() -> np.ndarray:
    """A road with two holes, one of which holds a car that touches it at a corner alone."""
    labels = np.zeros(SIZE, np.uint8)
    labels[4:36, 4:56] = 1
    labels[10:20, 10:30] = 0
    labels[12:18, 12:20] = 2
    labels[20:30, 30:40] = 2
    labels[0:4, 50:60] = 2
    return labels


LABELS = rings()


def opened(root: Path) -> np.ndarray:
    """The labels that our own reader makes of a data set of one image."""
    spec = open_dataset(root)
    assert spec.classes.names == ("background", "road", "car") or spec.classes.names[0] == "_background_"
    (item, *_) = spec.splits["train"]
    return item.annotation.label_map(3, 255)


def test_geojson_is_that_of_rfc_7946(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps(contents.geojson(trace(LABELS, CLASSES, 0))))
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert set(content) == {"type", "features"}
    for feature in content["features"]:
        outer, *holes = feature["geometry"]["coordinates"]
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in (outer, *holes))
        assert shapely.LinearRing(outer).is_ccw
        assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
        assert feature["properties"]["class"] == CLASSES.names[feature["properties"]["id"]]
    shapes = shapely.from_geojson(json.dumps(content)).geoms
    ids = [feature["properties"]["id"] for feature in content["features"]]
    again = np.zeros(SIZE, np.uint8)
    for shape, label in zip(shapes, ids, strict=True):
        inside = shapely.contains_xy(shape, *np.meshgrid(np.arange(60) + 0.5, np.arange(40) + 0.5))
        assert not again[inside].any()
        again[inside] = label
    assert np.array_equal(again, LABELS)


def test_qupath_gets_annotations_with_their_classes() -> None:
    content = json.loads(json.dumps(contents.qupath(trace(LABELS, CLASSES, 0), CLASSES)))
    assert content["type"] == "FeatureCollection"
    assert {feature["properties"]["objectType"] for feature in content["features"]} == {"annotation"}
    found = {f["properties"]["classification"]["name"]: f["properties"]["classification"] for f in content["features"]}
    assert found == {"road": {"name": "road", "color": [90, 90, 90]}, "car": {"name": "car", "color": [200, 0, 0]}}
    assert sum(len(feature["geometry"]["coordinates"]) for feature in content["features"]) == 4 + 1 + 1


def test_coco_draws_the_same_labels(tmp_path: Path) -> None:
    found = trace(LABELS, CLASSES, 0)
    entries = [{"id": n, "image_id": 1, **contents.coco_entry(piece)} for n, piece in enumerate(found, 1)]
    images = [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}]
    content = {"images": images, "annotations": entries, "categories": contents.categories(CLASSES)}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    coco = COCO(tmp_path / "instances.json")
    again = np.zeros(SIZE, np.uint8)
    for entry in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(entry).astype(bool)
        assert mask.sum() == entry["area"]
        ys, xs = np.nonzero(mask)
        assert entry["bbox"] == [xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()]
        assert not again[mask].any()
        again[mask] = entry["category_id"] - 1
    assert np.array_equal(again, LABELS)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "a.png")
    assert np.array_equal(opened(tmp_path), LABELS)


def near_borders(labels: np.ndarray) -> np.ndarray:
    """Pixels beside one of another id; the tools' own pens reach so far over an outline."""
    padded = np.pad(labels, 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return (windows != labels[..., None, None]).any((2, 3))


@pytest.mark.parametrize("tool", ["labelme", "yolo"])
def test_labelme_and_yolo_are_opened_by_our_readers(tmp_path: Path, tool: str) -> None:
    found = trace(LABELS, CLASSES, 0)
    if tool == "labelme":
        (tmp_path / "a.json").write_text(json.dumps(contents.labelme(found, "a.png", SIZE)))
        (tmp_path / "labels.txt").write_text("\n".join(contents.labelme_names(CLASSES)))
        picture = tmp_path / "a.png"
    else:
        (tmp_path / "images" / "train").mkdir(parents=True)
        (tmp_path / "labels" / "train").mkdir(parents=True)
        (tmp_path / "labels" / "train" / "a.txt").write_text(contents.yolo(found, CLASSES, SIZE))
        names = [CLASSES.names[label] for label in contents.yolo_labels(CLASSES)]
        (tmp_path / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "names": names}))
        picture = tmp_path / "images" / "train" / "a.png"
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(picture)
    again = opened(tmp_path)
    assert not (again != LABELS)[~near_borders(LABELS)].any()
    assert (again != LABELS).mean() < 0.1
    assert drawn(found, SIZE, 0).tolist() == LABELS.tolist()


def test_parts_of_a_piece_with_holes_are_one_group() -> None:
    road = [piece for piece in trace(LABELS, CLASSES, 0) if piece.name == "road"]
    shapes = contents.labelme(road, "a.png", SIZE)["shapes"]
    assert len(shapes) > 1
    assert {shape["group_id"] for shape in shapes} == {0}
