"""Objects found in images: their run lengths, the JSON file, and the pass that gives label maps too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco
from pycocotools.coco import COCO

from fullconv.errors import UsageError
from fullconv.formats.open import open_dataset
from fullconv.images.pixels import read_pixels
from fullconv.models import build_model
from fullconv.models.mask_rcnn import MaskRCNN
from fullconv.prediction.files import INSTANCES, predict
from fullconv.regions.instances import Instances, InstanceSegmenter, run_lengths, write_coco_json
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

CLASSES = ClassSet(("background", "a", "b"))
SMALL = {"pyramid_channels": 16, "head_channels": 16, "proposals": 60}


def model(classes: ClassSet = CLASSES) -> Segmenter:
    """Random weights whose scores lie far from each other."""
    torch.manual_seed(0)
    built = build_model("maskrcnn", len(classes), "resnet10t", model_args=SMALL)
    assert isinstance(built.network, MaskRCNN)
    with torch.no_grad():
        built.network.roi_heads.box_predictor.cls_score.weight.mul_(400)
        built.network.roi_heads.mask_predictor.mask_fcn_logits.weight.mul_(100)
    return Segmenter(built, classes, Preprocessing()).to("cpu", "fp32")


def image(size: tuple[int, int] = (50, 70), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def pasted(found: Instances, background: int) -> np.ndarray:
    """By score, higher over lower, background where there is none above 0.5: pixel by pixel."""
    labels = np.full(found.size, background)
    masks = [found.mask(place) for place in range(len(found))]
    for y, x in np.ndindex(found.size):
        there = [place for place, mask in enumerate(masks) if mask[y, x] and found.scores[place] > 0.5]
        if there:
            labels[y, x] = found.labels[max(there, key=lambda place: found.scores[place])]
    return labels


def test_run_lengths_are_pycocotools_both_ways() -> None:
    random = np.random.default_rng(0)
    for size in ((1, 1), (7, 5), (30, 40)):
        for share in (0, 0.3, 1):
            inside = random.random(size) < share
            runs = run_lengths(inside)
            assert runs == coco.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"]
            one = Instances(size, np.ones(1), np.ones(1), np.zeros((1, 4)), (runs,))
            assert np.array_equal(one.mask(0), inside)
            entry = one.entries()[0]
            assert entry["area"] == inside.sum()
            rows, columns = np.nonzero(inside)
            if len(rows):
                left, top, width, height = entry["bbox"]
                assert (left, top) == (columns.min(), rows.min())
                assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)


def test_the_predicted_map_is_the_objects_pasted() -> None:
    segmenter = model()
    keeping = InstanceSegmenter(segmenter)
    for size in ((50, 70), (33, 41)):
        pixels = image(size)
        prediction, plain = keeping.predict(pixels), segmenter.predict(pixels)
        found = keeping.found[-1]
        assert len(found) > 5
        assert found.scores.max() > 0.5
        assert np.array_equal(prediction.labels, plain.labels)
        assert np.array_equal(prediction.labels, pasted(found, 0))
        assert len(np.unique(prediction.labels)) > 1
    again = keeping.find(pixels)
    assert again.runs == found.runs
    assert len(keeping.found) == 2  # find keeps nothing


def test_images_in_tiles_have_their_objects_found_whole() -> None:
    segmenter = model()
    keeping = InstanceSegmenter(segmenter)
    pixels = image((64, 160))
    tiled = keeping.predict(pixels, tile=96, overlap=32)
    assert len(keeping.found) == 1
    assert keeping.found[0].size == (64, 160)
    assert keeping.found[0].runs == keeping.find(pixels).runs
    assert np.array_equal(tiled.labels, segmenter.predict(pixels, tile=96, overlap=32).labels)


def test_networks_of_pixels_know_no_objects() -> None:
    built = build_model("fcn32s", 3, "resnet10t")
    with pytest.raises(UsageError, match="instances need a model trained with --model maskrcnn"):
        InstanceSegmenter(Segmenter(built, CLASSES, Preprocessing()))


def test_predict_writes_coco_s_json_that_opens_as_a_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(image((40, 56), number)).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "images" / "bad.png").write_bytes(b"no image")
    segmenter = model()
    result = predict(segmenter, tmp_path / "images", tmp_path / "out", instances=True)
    assert len(result.written) == 3
    assert len(result.failed) == 1
    content = json.loads((tmp_path / "out" / INSTANCES).read_text())
    assert [entry["file_name"] for entry in content["images"]] == ["0.png", "1.png", "2.png"]
    assert [entry["name"] for entry in content["categories"]] == ["a", "b"]
    assert f"{len(content['annotations'])} objects in 3 images" in result.notes[-1]
    theirs = COCO(str(tmp_path / "out" / INSTANCES))
    keeping = InstanceSegmenter(segmenter)
    found = keeping.find(read_pixels(tmp_path / "images" / "1.png", 3)[0])
    entries = theirs.loadAnns(theirs.getAnnIds(2))
    assert [entry["score"] for entry in entries] == pytest.approx(found.scores.tolist())
    assert all(np.array_equal(theirs.annToMask(e).astype(bool), found.mask(i)) for i, e in enumerate(entries))
    theirs.loadRes(content["annotations"])  # as results
    for number in range(3):
        (tmp_path / "images" / f"{number}.png").rename(tmp_path / "out" / f"{number}.png")
    spec = open_dataset(tmp_path / "out")
    assert spec.layout == "coco"
    assert sum(len(split) for split in spec.splits.values()) == 3
    items = {item.id: item for split in spec.splits.values() for item in split}
    assert len(items["1"].annotation.instances()) == len(entries)


def test_images_without_objects_are_in_the_file(tmp_path: Path) -> None:
    nothing = Instances((4, 5), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)), ())
    write_coco_json(tmp_path / "x.json", {"a.png": nothing}, CLASSES)
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "a.png", "height": 4, "width": 5}]
    assert content["annotations"] == []


def test_saved_and_loaded_it_finds_the_same(tmp_path: Path) -> None:
    segmenter = model()
    segmenter.save(tmp_path / "model.safetensors")
    again = Segmenter.load(tmp_path / "model.safetensors", "cpu", "fp32")
    first, second = (InstanceSegmenter(one).find(image()) for one in (segmenter, again))
    assert first.runs == second.runs
    assert np.array_equal(first.scores, second.scores)
