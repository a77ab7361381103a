"""COCO's regions: outlines and run lengths, beside pycocotools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read.coco_regions import CocoLabels, runs
from tests.builders.bombs import little_memory
from tests.builders.coco import (
    SIZE,
    annotation,
    build,
    compressed,
)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([3, 4], "a run-length mask of 7 pixels for 10x8"),
        ([-1, 81], "a run-length mask of 80 pixels for 10x8"),
        ("0", "a run-length mask of 0 pixels for 10x8"),
        (compressed(np.ones((20, 20), np.uint8))["counts"], "a run-length mask of 400 pixels for 10x8"),
        ("\x7f" * 20, "a run-length mask of 0 pixels for 10x8"),
        ("o" * 20, "a run-length mask of 0 pixels for 10x8"),
    ],
)
def test_damaged_masks_are_refused(tmp_path: Path, counts: str | list[int], words: str) -> None:
    shape = {"size": list(SIZE), "counts": counts}
    spec = open_dataset(build(tmp_path / "coco", annotations=[annotation(5, 1, shape)]))
    with pytest.raises(DataError, match=words) as error:
        read_sample(spec, spec.split("train")[0])
    assert "instances_train2017.json: image 000000000005.jpg" in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 1.0])
def test_compressed_masks_are_decoded_as_pycocotools_does(share: float) -> None:
    random = np.random.default_rng(7)
    for size in ((1, 1), (7, 5), (300, 400)):
        mask = (random.random(size) < share).astype(np.uint8)
        packed = coco.encode(np.asfortranarray(mask))["counts"]
        lengths = runs(packed)
        values = np.repeat(np.arange(len(lengths)) % 2, lengths)
        np.testing.assert_array_equal(values.reshape(size[::-1]).T, mask)


def test_every_region_is_as_pycocotools_draws_it(shared: Path) -> None:
    source = shared / "data" / "coco_polygons"
    theirs = COCO(str(source / "annotations.json"))
    spec = open_dataset(source)
    items = {item.image.path.name: item for split in spec.splits for item in spec.split(split)}
    assert len(items) == 3
    regions = 0
    for image in theirs.dataset["images"]:
        labels = items[Path(image["file_name"]).name].annotation
        assert isinstance(labels, CocoLabels)
        drawing = labels.drawing()
        notes = theirs.imgToAnns[image["id"]]
        assert [region.label for region in drawing.items] == [note["category_id"] for note in notes]
        for region, note in zip(drawing.items, notes, strict=True):
            np.testing.assert_array_equal(drawing.mask(region), theirs.annToMask(note))
            regions += 1
    assert regions == 12


def test_a_size_that_a_list_of_annotations_states_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "images" / "a.png")
    side = 10**9
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": side, "width": side}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 9, 9, 0, 9]]}],
    }
    (tmp_path / "result.json").write_text(json.dumps(content))
    labels = open_dataset(tmp_path).split("train")[0].annotation
    assert labels is not None
    with little_memory(), pytest.raises(DataError, match=r"result\.json: image a\.png.*1000000000x1000000000"):
        labels.label_map(2, 255)
