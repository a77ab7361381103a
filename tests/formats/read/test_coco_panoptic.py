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
from fullconv.palette import distinct_palette
from tests.builders.coco_panoptic import CATEGORIES, SEGMENTS, write

CLASS_OF = {0: 255, 7: 0, 3_000_000: 2, 65_536 * 255 + 256 * 3 + 2: 0, 256: 1}
IDS = np.vectorize(CLASS_OF.get)(SEGMENTS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "coco", "train2017", ["000000000009", "000000000025"])
    write(tmp_path / "coco", "val2017", ["000000000139"])
    return tmp_path / "coco"


def test_segments_become_classes(root: Path) -> None:
    spec = open_dataset(root)
    assert (spec.layout, spec.classes.names) == ("coco_panoptic", ("person", "stop sign", "rug-merged"))
    assert spec.classes.palette == ((220, 20, 60), (220, 220, 0), (250, 141, 255))
    assert {name: [item.id for item in items] for name, items in spec.splits.items()} == {
        "train": ["000000000009", "000000000025"],
        "val": ["000000000139"],
    }
    for split in spec.splits:
        for item in spec.split(split):
            np.testing.assert_array_equal(read_sample(spec, pickle.loads(pickle.dumps(item))).labels, IDS)
    labels = spec.split("val")[0].annotation
    assert labels is not None
    wide = labels.label_map(300, 65_535)
    assert wide.dtype == np.int32
    np.testing.assert_array_equal(wide, np.where(IDS == 255, 65_535, IDS))


def test_maps_in_the_root_and_categories_without_colours(root: Path) -> None:
    bare = [{key: value for key, value in entry.items() if key != "color"} for entry in CATEGORIES]
    for part, names in (("train2017", ["000000000009", "000000000025"]), ("val2017", ["000000000139"])):
        write(root, part, names, categories=bare)
        (root / "annotations" / f"panoptic_{part}").rename(root / f"panoptic_{part}")
    spec = open_dataset(root)
    assert spec.classes.palette == distinct_palette(spec.classes.names)
    np.testing.assert_array_equal(read_sample(spec, spec.split("val")[0]).labels, IDS)


def test_damaged_files_are_named(root: Path) -> None:
    write(root, "val2017", ["000000000139"], annotations=[
        {"image_id": 0, "file_name": "000000000139.png", "segments_info": [{"id": 7, "category_id": 1}]},
    ])  # fmt: skip
    spec = open_dataset(root)
    with pytest.raises(
        DataError, match=r"000000000139.png: holds segments that the JSON .* \(256, 3000000, 16712450\)"
    ):
        read_sample(spec, spec.split("val")[0])
    png = root / "annotations" / "panoptic_train2017" / "000000000009.png"
    Image.new("L", (4, 2)).save(png)
    with pytest.raises(DataError, match="a panoptic map without colours; expected RGB"):
        read_sample(spec, spec.split("train")[0])
    png.unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are not in .*panoptic_train2017 \(000000000009.png\)"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotations": [{"image_id": 0, "file_name": "000000000139.png"}]}, "annotation 1 lacks image_id, file_name"),
        ({"annotations": []}, "has 0 annotations, 0 of images"),
        ({"images": []}, r"has 1 annotation, 1 of images that it does not list \(0\)"),
        ({"images": [{"id": 0}]}, "an image without id or file_name"),
        ({"categories": CATEGORIES[:2]}, r"other categories than panoptic_train2017.json \(13 stop sign"),
        ({"categories": []}, "has no list 'categories'"),
    ],
)
def test_inconsistent_files_are_refused(root: Path, changes: dict[str, Any], words: str) -> None:
    write(root, "val2017", ["000000000139"], **changes)
    with pytest.raises(DataError, match=words) as error:
        open_dataset(root)
    assert "\n" not in str(error.value)
    assert "panoptic_val2017.json" in str(error.value)


def test_segments_of_no_category_are_refused(root: Path) -> None:
    segment = {"id": 7, "category_id": 99}
    notes = [{"image_id": 0, "file_name": "000000000139.png", "segments_info": [segment]}]
    write(root, "val2017", ["000000000139"], annotations=notes)
    with pytest.raises(DataError, match=r"000000000139.png has segments of category_id 99"):
        open_dataset(root)


def test_packed_maps_are_asked_for(root: Path) -> None:
    instances = root / "annotations" / "instances_train2017.json"
    images = [{"id": 1, "file_name": "000000000009.jpg"}, {"id": 2, "file_name": "000000000025.jpg"}]
    note = {"image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2]]}
    instances.write_text(json.dumps({"images": images, "annotations": [note], "categories": CATEGORIES}))
    spec = open_dataset(root)
    assert spec.layout == "coco_panoptic"
    assert any("instances_*.json are also there and not used" in reason for reason in spec.reasons)
    for part in ("train2017", "val2017"):
        (root / "annotations" / f"panoptic_{part}").rename(root / f"packed_{part}")
    assert open_dataset(root).layout == "coco"
    instances.unlink()
    with pytest.raises(
        DataError, match=r"panoptic_train2017.json: its PNGs are missing; unpack panoptic_train2017.zip"
    ):
        open_dataset(root)
