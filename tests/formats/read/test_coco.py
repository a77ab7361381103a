from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.coco import (
    ANNOTATIONS,
    CATEGORIES,
    FIRST,
    SECOND,
    SIZE,
    annotation,
    box,
    build,
    write,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
"""pycocotools 2.0 under numpy 2."""


@pytest.mark.parametrize("place", [".", "images"])
def test_ids_pixel_by_pixel(tmp_path: Path, place: str) -> None:
    spec = open_dataset(build(tmp_path / "coco", place))
    assert (spec.layout, spec.declared) == ("coco", True)
    assert spec.classes.names == ("background", "person", "stop sign", "toothbrush")
    assert {name: [item.id for item in items] for name, items in spec.splits.items()} == {
        "train": ["000000000005", "000000000008", "000000000009"],
        "val": ["000000000008"],
    }
    for item, expected in zip(spec.split("train"), (FIRST, SECOND, 0 * FIRST), strict=True):
        np.testing.assert_array_equal(read_sample(spec, pickle.loads(pickle.dumps(item))).labels, expected)
    np.testing.assert_array_equal(read_sample(spec, spec.split("val")[0]).labels, SECOND)
    said = "\n".join(spec.reasons)
    for words in (
        "instances_train2017.json, instances_val2017.json: COCO instances, 4 classes",
        "not a category: added",
        "smaller regions over larger",
        "1 crowd regions (iscrowd) belong to their class",
        "1 image without a region is all background",
        "1 annotation without an outline of three points or a mask is left out",
    ):
        assert words in said


@pytest.mark.parametrize("name", ["_background_", "background", "Background"])
def test_a_background_category_becomes_the_background(tmp_path: Path, name: str) -> None:
    root = tmp_path / "photos"
    notes = [*ANNOTATIONS[:2], annotation(5, 200, [box(3, 3, 4, 4)])]
    write(root / "annotations.json", root, (5,), annotations=notes, categories=[*CATEGORIES, {"id": 200, "name": name}])
    spec = open_dataset(root)
    assert spec.classes.names == (name, "person", "stop sign", "toothbrush")
    expected = np.zeros(SIZE, int)
    expected[:, :8] = 1
    expected[1:3, 1:3] = expected[6:, :2] = 2
    expected[3, 3] = 0  # drawn, as the smallest
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, expected)


@pytest.mark.parametrize("project", ["thing", "stop sign"])
def test_roboflow_s_project_category_is_no_class(tmp_path: Path, project: str) -> None:
    groups = [{**entry, "supercategory": project} for entry in CATEGORIES]
    listed = [{"id": 0, "name": project, "supercategory": "none"}, *groups]
    for split in ("train", "valid"):
        write(tmp_path / split / "_annotations.coco.json", tmp_path / split, categories=listed)
    spec = open_dataset(tmp_path)
    assert spec.classes.names == ("background", "person", "stop sign", "toothbrush")
    assert f"category {project} groups the others and is on no image: left out" in spec.reasons
    assert spec.licence == ""  # COCO's form, not COCO's files
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, FIRST)
    used = [*ANNOTATIONS, annotation(9, 0, [box(0, 0, 2, 2)])]
    write(tmp_path / "valid" / "_annotations.coco.json", tmp_path / "valid", annotations=used, categories=listed)
    if project == "thing":
        assert open_dataset(tmp_path).classes.names[1] == "thing"
    else:
        with pytest.raises(DataError, match="two categories are named 'stop sign'"):
            open_dataset(tmp_path)


def test_paths_of_another_machine_and_images_without_a_size(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    images = [{"id": 5, "file_name": "C:\\data\\000000000005.jpg"}, {"id": 8, "file_name": "/data/000000000008.jpg"}]
    write(root / "annotations.json", root / "images", (5, 8), images=images)
    spec = open_dataset(root)
    items = {item.image.path.stem: item for split in spec.splits for item in spec.split(split)}
    np.testing.assert_array_equal(read_sample(spec, items["000000000005"]).labels, FIRST)
    np.testing.assert_array_equal(read_sample(spec, items["000000000008"]).labels, SECOND)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotations": [annotation(77, 1, [box(0, 0, 3, 3)])]}, r"annotations of 1 image .* \(image_id 77\)"),
        ({"annotations": [annotation(5, 2, [box(0, 0, 3, 3)])]}, "000000000005.jpg has annotations of category_id 2"),
        (
            {"annotations": [annotation(5, 1, [[1, 2, 3, 4, 5, 6, 7]])]},
            "annotation 7 has a segmentation that is neither",
        ),
        ({"annotations": [annotation(5, 1, [1, 2, 3, 4, 5, 6])]}, "annotation 7 has a segmentation that is neither"),
        (
            {"annotations": [annotation(5, 1, [[1, 2, 3, "4", 5, 6]])]},
            "annotation 7 has a segmentation that is neither",
        ),
        ({"annotations": [annotation(5, 1, {"size": [8, 10]})]}, "annotation 7 has a segmentation that is neither"),
        (
            {"annotations": [annotation(5, 1, [[0, 0, 9e9, 0, 9, 9]])]},
            "coordinate that is not a number, or beyond 1000000",
        ),
        ({"annotations": [annotation(5, 1, [[0, 0, float("nan"), 0, 9, 9]])]}, "coordinate that is not a number"),
        (
            {"annotations": [annotation(5, 1, {"size": [4, 4], "counts": [3, 13]})]},
            "000000000005.jpg of 10x8 has a mask of 4x4",
        ),
        ({"annotations": [annotation(5, 1, [])]}, "no annotation has an outline, a mask or a box"),
        ({"annotations": [{"image_id": 5}]}, "annotation 1 has no image_id or category_id"),
        ({"images": [{"id": 5, "file_name": "a.jpg"}] * 2}, "two images have id 5"),
        ({"images": [{"id": 5}]}, "an image without id or file_name"),
        ({"images": []}, "names no image"),
        ({"categories": []}, "has no list 'categories'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "two categories have id 1"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "two categories are named 'a'"),
        ({"categories": [{"name": "a"}]}, "a category without a whole number as id"),
        ({"categories": [*CATEGORIES, {"id": 2, "name": "car"}]}, r"than instances_train2017.json \(2 car\)"),
    ],
)
def test_inconsistent_files_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    root = build(tmp_path / "coco", **changes)
    with pytest.raises(DataError, match=words) as error:
        open_dataset(root)
    assert "\n" not in str(error.value)
    assert "instances_" in str(error.value)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    root = build(tmp_path / "coco")
    (root / "train2017" / "000000000009.jpg").unlink()
    with pytest.raises(DataError, match=r"train2017.json: 1 of 3 images are not in .*train2017 \(000000000009.jpg\)"):
        open_dataset(root)
    (root / "train2017").rename(root / "elsewhere")
    with pytest.raises(
        DataError, match=r"image 000000000005.jpg is in none of the folders train2017, images/train2017"
    ):
        open_dataset(root)
    path = root / "annotations" / "instances_train2017.json"
    text = path.read_text()
    for damaged in (text[: len(text) // 2], text[:-1], text.replace(":", " ", 1), "", text.replace("}, {", "} {", 1)):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"instances_train2017.json: not readable JSON .*; save it again"):
            open_dataset(root)
    path.write_text(json.dumps({"images": [], "categories": []}))
    with pytest.raises(DataError, match=r"has no annotations; expected COCO's instance annotations"):
        open_dataset(root)
    write(root / "annotations" / "instances_train2014.json", root / "train2014")
    with pytest.raises(
        DataError, match=r"instances_train2014.json and annotations/instances_train2017.json are of one split"
    ):
        open_dataset(root)


def test_the_real_sample_agrees_with_voc_s_masks(shared: Path) -> None:
    spec = open_dataset(shared / "data" / "coco_polygons")
    assert (len(spec.classes), spec.classes.names[0], spec.classes.names[15]) == (21, "_background_", "person")
    masks = shared / "data" / "voc_sample" / "VOCdevkit" / "VOC2012" / "SegmentationClass"
    agreement = {}
    for split in spec.splits:
        for item in spec.split(split):
            voc = np.array(Image.open(masks / f"{item.image.path.stem}.png"))
            agreement[item.image.path.stem] = (read_sample(spec, item).labels == voc)[voc != 255].mean()
    assert agreement["2011_000003"] > 0.999
    assert agreement["2011_000025"] > 0.979  # a bus whose outline was drawn a little larger
    assert agreement["2011_000006"] > 0.984


def test_masks_beside_the_images_win(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    write(root / "result.json", root / "images", (5, 8))
    (root / "masks").mkdir()
    for name in (5, 8):
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "masks" / f"{name:012d}.png")
    assert open_dataset(root).layout == "folder"
