"""Training of Mask R-CNN: one scene learned by heart, a run cut off and gone on with, what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from fullconv.data import Shapes
from fullconv.data.annotations import Annotation, box_ring
from fullconv.data.drawing import Annotations
from fullconv.data.instances import PackedInstances, pack
from fullconv.data.shapes import Scene
from fullconv.errors import DataError, Interrupted, UsageError
from fullconv.evaluation.evaluate import evaluate
from fullconv.formats.open import shapes_dataset
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from fullconv.training.instances import FEWEST, target_of
from fullconv.training.start import train
from tests.builders.coco import annotation, build
from tests.builders.folders import describe, pairs
from tests.builders.runs import FOUR_SCENES, Asked

TINY = {
    "model": "maskrcnn", "encoder": "resnet10t", "workers": 0, "check": False, "quiet": True, "precision": "fp32",
    "model_args": {
        "pyramid_channels": 16, "head_channels": 32, "anchor_sizes": [8, 16, 32, 48, 64], "proposals": 50, "samples": 32
    },
}  # fmt: skip
CLASSES = ClassSet(("background", "a", "b"))


def test_a_few_steps_learn_one_scene_by_heart(tmp_path: Path) -> None:
    spec = shapes_dataset(Shapes(height=48, width=48, train=1, val=1, objects=(2, 2), num_classes=3, seed=4))
    scene = spec.splits["train"][0]
    again = [dataclasses.replace(scene, id=f"{scene.id}_{i}") for i in range(120)]
    spec = dataclasses.replace(spec, splits={"train": again, "val": [scene]})
    run = train(
        spec, tmp_path / "run", epochs=1, batch_size=2, scale=(1, 1), flip=False, colour=0.0, rate=4e-3,
        schedule="one-cycle", **TINY,
    )  # fmt: skip
    scores = evaluate(run.best, spec, device="cpu", precision="fp32", workers=0)
    assert scores.mean_iou > 0.8
    assert scores.masks is not None
    assert scores.masks.ap50 > 0.9
    assert scores.masks.objects == 2
    assert scores.to_dict()["masks"]["ap"] == pytest.approx(run.scores["masks"]["ap"])
    assert run.scores["mean_iou"] == pytest.approx(scores.mean_iou)
    log = (run.path / "log.csv").read_text().splitlines()[0].split(",")
    assert {"train_class", "train_box", "train_mask", "train_objectness", "train_proposals", "mask_ap"} <= set(log)


def test_a_run_cut_off_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within an epoch: augmentation and the boxes that are sampled are functions of the step."""
    options = {**TINY, "epochs": 2, "batch_size": 2, "ema": 0.9}
    whole = train(FOUR_SCENES, tmp_path / "whole", **options)

    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(3))  # once more while it validates
        with pytest.raises(Interrupted, match="at step 3;"):
            train(FOUR_SCENES, tmp_path / "cut", **options)
    again = train(FOUR_SCENES, tmp_path / "cut", resume=True, quiet=True)
    first, second = (Segmenter.load(run.last, "cpu", "fp32").network.state_dict() for run in (whole, again))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    rows = [(run.path / "log.csv").read_text().splitlines() for run in (whole, again)]
    without_seconds = [[row.rsplit(",", 1)[0] for row in each] for each in rows]
    assert without_seconds[0] == without_seconds[1]


def test_the_target_of_a_crop_is_what_is_left_of_each_object() -> None:
    """Boxes from a loop over the pixels; what the crop leaves too little of, crowds and void are not known."""
    scene = Scene(Shapes(height=48, width=48, objects=(3, 3)), 5)
    packed = PackedInstances(scene, scene.shapes.classes).label_map(5, 255)[6:40, 10:44]
    target = target_of(torch.from_numpy(packed.copy()), 255)
    expected = []
    for one in scene.instances():
        rows, columns = np.nonzero(one.mask[6:40, 10:44])
        if len(rows) >= FEWEST:
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            expected.append((one.label, box, len(rows)))
    found = zip(target["labels"].tolist(), target["boxes"].tolist(), target["masks"].flatten(1).sum(1), strict=True)
    assert [(label, box, int(count)) for label, box, count in found] == expected
    assert len(expected) > 1


def test_slivers_crowds_and_void_are_not_known() -> None:
    def box(label: int, *corners: float, crowd: bool = False) -> Annotation:
        return Annotation(label, "mask", (box_ring(*corners),), crowd=crowd, drawn=True)

    items = (box(1, 0, 0, 10, 10), box(2, 12, 0, 15, 5), box(1, 0, 14, 8, 20, crowd=True), box(-1, 12, 12, 20, 20))
    source = Annotations("x", (20, 20), items)
    packed = pack(source.label_map(3, 255), source.instances(), CLASSES, "x")
    target = target_of(torch.from_numpy(packed), 255)
    assert target["labels"].tolist() == [1]
    assert target["boxes"].tolist() == [[0, 0, 10, 10]]
    ignored = np.zeros((20, 20), bool)
    ignored[0:5, 12:15], ignored[14:20, 0:8], ignored[12:20, 12:20] = True, True, True
    assert np.array_equal(target["ignored"].numpy(), ignored)


def test_an_image_without_objects_teaches_background() -> None:
    target = target_of(torch.zeros(8, 9, dtype=torch.int32), 255)
    assert target["boxes"].shape == (0, 4)
    assert target["masks"].shape == (0, 8, 9)
    assert not target["ignored"].any()


def test_masks_alone_are_refused_unless_components_are_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs(tmp_path / "data", 4)
    describe(tmp_path / "data", classes=["background", "a", "b"])
    with pytest.raises(DataError, match=r"3 of 3 train images have masks of classes.*--objects components"):
        train(tmp_path / "data", tmp_path / "run", **TINY)
    options = {**TINY, "quiet": False, "epochs": 1, "batch_size": 2, "crop": (32, 32), "objects": "components"}
    run = train(tmp_path / "data", tmp_path / "run", **options)
    said = " ".join(capsys.readouterr().out.split())
    assert "3 of 3 train images have masks only: a connected component of a class is one object there" in said
    assert "1 of 1 val images have masks only" in said
    scores = evaluate(run.best, tmp_path / "data", device="cpu", precision="fp32", workers=0)
    assert scores.masks is None  # what the objects are is not known
    assert any(note.startswith("no mask AP: 1 of 1 images have masks of classes") for note in scores.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "focal", "class_weights": "median-frequency"}, "leave out --loss, --class-weights"),
        ({"resize": (32, 32)}, "resizes by --model-args.min-size"),
        ({"labels": "boxes"}, "learns from the masks of objects"),
    ],
)
def test_options_of_label_maps_are_refused(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        train(FOUR_SCENES, tmp_path / "run", **{**TINY, **options})
    assert not (tmp_path / "run").exists()


def test_data_without_background_are_refused(tmp_path: Path) -> None:
    pairs(tmp_path / "data", 3)
    describe(tmp_path / "data", classes=["sky", "road", "tree"])
    with pytest.raises(DataError, match="no class is called background"):
        train(tmp_path / "data", tmp_path / "run", **TINY)


def test_boxes_alone_are_refused(tmp_path: Path) -> None:
    boxes = [annotation(number, 1, [], bbox=[3, 4, 10, 10]) for number in (5, 8, 9)]
    build(tmp_path / "data", annotations=boxes)
    with pytest.raises(DataError, match=r"found boxes of \d images; --model maskrcnn learns from the masks of objects"):
        train(tmp_path / "data", tmp_path / "run", **TINY)
