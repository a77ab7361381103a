"""Objects of annotations, and what becomes of them on the way through augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO
from scipy import ndimage

from fullconv.data.annotations import IGNORED, Annotation, box_ring
from fullconv.data.augment import Augmentation
from fullconv.data.drawing import Annotations
from fullconv.data.instances import BITS, Instance, KeepsInstances, PackedInstances, components, keeps_instances, pack
from fullconv.data.mixing import renamed
from fullconv.data.shapes import Scene, Shapes
from fullconv.formats.open import open_dataset
from fullconv.spec import ClassSet

CLASSES = ClassSet(("background", "a", "b"))
COCO_SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_polygons"


def box(label: int, *corners: float, instance: int | None = None, crowd: bool = False) -> Annotation:
    return Annotation(label, "mask", (box_ring(*corners),), instance=instance, crowd=crowd, drawn=True)


def unpacked(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return packed & ((1 << BITS) - 1), packed >> BITS


@pytest.mark.skipif(not COCO_SAMPLE.is_dir(), reason="needs the shared COCO sample")
def test_coco_s_objects_are_pycocotools_masks(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = COCO(str(COCO_SAMPLE / "annotations.json"))
    names = {image["id"]: Path(image["file_name"]).stem for image in theirs.dataset["images"]}
    seen = 0
    for items in open_dataset(COCO_SAMPLE).splits.values():
        for item in items:
            assert isinstance(item.annotation, KeepsInstances)
            ours = [one.mask for one in item.annotation.instances()]
            image = next(number for number, stem in names.items() if stem == Path(item.id).stem)
            expected = [theirs.annToMask(one).astype(bool) for one in theirs.loadAnns(theirs.getAnnIds(image))]
            assert len(ours) == len(expected)
            assert all(any(np.array_equal(a, b) for b in ours) for a in expected)
            seen += len(ours)
    assert seen == len(theirs.dataset["annotations"])


def test_parts_with_one_number_are_one_object_and_crowds_keep_their_flag() -> None:
    items = (box(1, 0, 0, 2, 2, instance=7), box(1, 4, 0, 6, 2, instance=7), box(2, 0, 4, 3, 6, crowd=True))
    found = Annotations("x", (8, 8), items, overlap="order").instances()
    assert [(one.label, int(one.mask.sum()), one.crowd) for one in found] == [(1, 8, False), (2, 6, True)]


def test_an_object_over_another_takes_its_pixels_and_crowds_and_unknown_things_are_void() -> None:
    items = (box(1, 0, 0, 4, 4), box(1, 2, 0, 6, 4), box(2, 0, 5, 3, 8, crowd=True), box(IGNORED, 6, 6, 8, 8))
    source = Annotations("x", (8, 8), items, overlap="order")
    labels, owner = unpacked(PackedInstances(source, CLASSES).label_map(3, 255))
    assert (owner[0:4, 0:2] == 1).all()
    assert (owner[0:4, 2:6] == 2).all()
    assert (labels[5:8, 0:3] == 255).all()
    assert (labels[6:8, 6:8] == 255).all()
    assert np.count_nonzero(owner) == 24
    assert set(np.unique(labels[owner > 0])) == {1}


def test_background_over_an_object_is_no_part_of_it() -> None:
    items = (box(1, 0, 0, 4, 4), box(0, 1, 1, 2, 2))
    labels, owner = unpacked(
        PackedInstances(Annotations("x", (4, 4), items, overlap="order"), CLASSES).label_map(3, 255)
    )
    assert (owner == (labels == 1)).all()
    assert owner[1, 1] == 0


def test_shapes_know_what_is_seen_of_every_object() -> None:
    shapes = Shapes(height=64, width=64, objects=(4, 6), occlusion=0.8, lines=2)
    for index in range(6):
        scene = Scene(shapes, index)
        labels = scene.label_map(6, 255)
        union = np.zeros(labels.shape, np.int32)
        for one in scene.instances():
            assert (labels[one.mask] == one.label).all()
            union += one.mask
        assert np.array_equal(union, (labels > 0).astype(np.int32))
        assert np.array_equal(shapes.draw(index)[1], labels)


def test_components_are_scipy_s_and_touching_objects_of_a_class_are_one() -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[0:2, 0:2], labels[2:4, 2:4] = 1, 1  # at a corner
    labels[0:2, 5:7], labels[5, 0], labels[3, 7] = 1, 2, 255
    found = components(labels, CLASSES)
    assert [(one.label, int(one.mask.sum())) for one in found] == [(1, 8), (1, 4), (2, 1)]
    assert ndimage.label(labels == 1, np.ones((3, 3)))[1] == 2


def test_augmentation_moves_objects_as_it_moves_labels() -> None:
    """The same zoom, crop and flip of each mask alone gives the same object."""
    scene = Scene(Shapes(height=60, width=80, objects=(3, 3)), 3)
    packed = PackedInstances(scene, scene.shapes.classes).label_map(5, 255)
    change = Augmentation((40, 48), (0.6, 1.4), flip=True)
    for seed in range(6):
        draw = change.draw((60, 80), np.random.default_rng(seed))
        image = np.zeros((60, 80, 3), np.uint8)
        _, moved = change.apply(image, packed, draw, 255)
        labels, owner = unpacked(moved)
        for number, one in enumerate(scene.instances(), start=1):
            _, alone = change.apply(image, one.mask.astype(np.uint8), draw, 0)
            assert np.array_equal(owner == number, alone == 1)
        _, plain = change.apply(image, scene.label_map(5, 255), draw, 255)
        assert np.array_equal(labels, plain)


def test_classes_that_a_model_does_not_know_are_no_objects() -> None:
    spec = open_dataset("shapes:train=1,val=1")
    other = renamed(spec, ClassSet(("line", *spec.classes.names)))
    assert other is not None
    before, after = spec.splits["train"][0].annotation, other.splits["train"][0].annotation
    assert keeps_instances(after)
    assert [one.label for one in after.instances()] == [one.label + 1 for one in before.instances()]


def test_run_lengths_of_an_object_are_pycocotools() -> None:
    scene = Scene(Shapes(), 0)
    for one in scene.instances():
        encoded = coco.encode(np.asfortranarray(one.mask.view(np.uint8)))
        assert np.array_equal(coco.decode(encoded).astype(bool), one.mask)


def test_more_objects_than_numbers_are_refused() -> None:
    from fullconv.errors import DataError

    nothing = Instance(1, np.zeros((1, 1), bool))
    with pytest.raises(DataError, match="40000 objects, expected at most 32767"):
        pack(np.zeros((1, 1), np.uint8), [nothing] * 40000, CLASSES, "x")
