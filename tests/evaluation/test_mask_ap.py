"""Average precision of masks beside ``COCOeval`` on files."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fullconv.data.annotations import IGNORED, Annotation, box_ring
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.drawing import Annotations
from fullconv.data.shapes import Shapes
from fullconv.evaluation.mask_ap import judged, mask_ap, true_entries
from fullconv.formats.open import open_dataset, shapes_dataset
from fullconv.images.encoding import MaskEncoding
from fullconv.polygons.contents import category
from fullconv.regions.instances import Instances, mask_entry, run_lengths
from fullconv.spec import ClassSet

CLASSES = ClassSet(("background", "a", "b"))
SIZE = (40, 60)


def found_of(masks: list[np.ndarray], labels: list[int], scores: list[float], size: tuple[int, int]) -> Instances:
    runs = tuple(map(run_lengths, masks))
    return Instances(size, np.array(labels), np.array(scores, np.float32), np.zeros((len(runs), 4), np.float32), runs)


def spec_of(*images: tuple[Annotation, ...]) -> DatasetSpec:
    items = [Item(f"{i}", None, Annotations(f"{i}", SIZE, image)) for i, image in enumerate(images)]
    return DatasetSpec("x", Path("x"), "coco", (), CLASSES, MaskEncoding(), {"val": items})


def box(label: int, *corners: float, crowd: bool = False) -> Annotation:
    return Annotation(label, "mask", (box_ring(*corners),), crowd=crowd, drawn=True)


def mask(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    inside = np.zeros(SIZE, bool)
    inside[top:bottom, left:right] = True
    return inside


def shifted(inside: np.ndarray, by: int) -> np.ndarray:
    return np.roll(inside, by, 1)


def test_it_is_cocoeval_of_files(tmp_path: Path) -> None:
    """Scenes of shapes and noisy detections of them; written, read and scored by COCO's own tools."""
    spec = shapes_dataset(Shapes(height=64, width=64, train=1, val=6, objects=(1, 4), lines=1))
    items, random = spec.split("val"), np.random.default_rng(0)
    every = []
    for item in items:
        true = item.annotation.instances()
        masks = [shifted(one.mask, int(random.integers(0, 4))) for one in true if random.random() < 0.8]
        labels = [one.label for one in true][: len(masks)]
        masks += [np.ones((64, 64), bool)]
        labels += [1]
        every.append(found_of(masks, labels, random.random(len(masks)).tolist(), (64, 64)))
    scores = mask_ap(judged(spec, items, every), spec.classes)

    truth = {"images": [], "annotations": [], "categories": []}
    results = []
    for label in range(1, len(spec.classes)):
        truth["categories"].append({"id": category(label), "name": spec.classes.names[label]})
    for number, (item, found) in enumerate(zip(items, every, strict=True), start=1):
        truth["images"].append({"id": number, "width": 64, "height": 64, "file_name": item.id})
        for one in item.annotation.instances():
            entry = {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": category(one.label)}
            truth["annotations"].append({**entry, "iscrowd": 0, **mask_entry(run_lengths(one.mask), (64, 64))})
        results += [{**entry, "image_id": number} for entry in found.entries()]
    for entry in results:
        del entry["bbox"]  # loadRes would take its area for the mask's
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(theirs, theirs.loadRes(str(tmp_path / "results.json")), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ours = (scores.ap, scores.ap50, scores.ap75, scores.small, scores.medium, scores.large)
    assert [-1 if math.isnan(v) else v for v in ours] == pytest.approx(evaluation.stats[:6].tolist(), abs=1e-12)
    assert scores.recall == pytest.approx(evaluation.stats[8])
    assert 0.1 < scores.ap < 0.9
    assert scores.objects == len(truth["annotations"])
    known = [value for value in scores.by_class.values() if not math.isnan(value)]
    assert np.mean(known) == pytest.approx(scores.ap)


def test_perfect_masks_have_1_none_0_and_nothing_to_find_nan() -> None:
    spec = spec_of((box(1, 2, 2, 20, 20), box(2, 30, 5, 50, 30)), ())
    items = spec.split("val")
    nothing = found_of([], [], [], SIZE)
    perfect = found_of([mask(2, 2, 20, 20), mask(30, 5, 50, 30)], [1, 2], [0.9, 0.8], SIZE)
    assert mask_ap(judged(spec, items, [perfect, nothing]), CLASSES).ap == pytest.approx(1)
    assert mask_ap(judged(spec, items, [nothing, nothing]), CLASSES).ap == 0
    empty = spec_of((), ())
    scores = mask_ap(judged(empty, empty.split("val"), [perfect, nothing]), CLASSES)
    assert math.isnan(scores.ap)
    assert scores.to_dict()["ap"] is None
    assert "mask AP -" in str(scores)


def test_what_lies_in_a_crowd_or_in_void_is_no_error() -> None:
    """A false alarm of the highest score halves the precision, but not where objects are not counted or known."""
    objects, alarm = box(1, 2, 2, 20, 20), mask(32, 7, 48, 28)
    found = [found_of([alarm, mask(2, 2, 20, 20)], [1, 1], [0.9, 0.8], SIZE)]
    for beside, expected in (
        ((), 0.5),
        ((box(1, 30, 5, 50, 30, crowd=True),), 1),
        ((box(IGNORED, 30, 5, 50, 30),), 1),
        ((box(2, 30, 5, 50, 30, crowd=True),), 0.5),  # a crowd of another class
    ):
        spec = spec_of((objects, *beside))
        scores = mask_ap(judged(spec, spec.split("val"), found), CLASSES)
        assert scores.by_class["a"] == pytest.approx(expected)
        assert scores.objects == 1


def test_background_and_hidden_objects_are_none() -> None:
    spec = spec_of((box(1, 2, 2, 10, 10), box(0, 30, 5, 50, 30)))
    assert [entry["category_id"] for entry in true_entries(spec, spec.split("val")[0])] == [category(1)]


def test_without_outlines_components_are_the_objects() -> None:
    spec = open_dataset("shapes:train=1,val=1,objects=1")
    item = spec.split("val")[0]
    labels = item.annotation.label_map(5, 255)

    class Plain:
        """A mask alone."""

        where = "x"

        def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
            return labels

    (entry,) = true_entries(spec, Item("x", item.image, Plain()))
    assert entry["area"] == int((labels > 0).sum())
