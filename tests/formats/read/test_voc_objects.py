"""VOC's ``SegmentationObject``: which object each pixel of a mask belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data.instances import KeepsInstances, keeps_instances
from fullconv.data.shapes import Scene, Shapes
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.training.start import train

SCENES = Shapes(height=40, width=48, objects=(2, 4))
NAMES = [f"2011_00000{i}" for i in range(4)]


def build(root: Path, objects: int = 4) -> Path:
    """Scenes with a void line along each object's upper edge, as VOC draws one around every object."""
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(NAMES[:3]))
    (lists / "val.txt").write_text(NAMES[3])
    for number, name in enumerate(NAMES):
        image, labels, numbers = SCENES.draw_objects(number)
        border = (np.diff(numbers.astype(int), axis=0, prepend=0) != 0) & (numbers > 0)
        shown = {"SegmentationClass": labels, "SegmentationObject": numbers}
        if number >= objects:
            del shown["SegmentationObject"]
        for folder, values in shown.items():
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(np.where(border, 255, values).astype(np.uint8)).save(root / folder / f"{name}.png")
        (root / "JPEGImages").mkdir(exist_ok=True)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg")
    return root


def test_objects_are_those_of_the_file_but_for_its_border(tmp_path: Path) -> None:
    spec = open_dataset(build(tmp_path / "VOC2012"))
    assert "SegmentationObject: 4 of 4 masks say which object is which" in spec.reasons
    for items in spec.splits.values():
        for item in items:
            annotation = item.annotation
            assert isinstance(annotation, KeepsInstances)
            labels = annotation.label_map(len(spec.classes), 255)
            scene = Scene(SCENES, NAMES.index(item.id)).instances()
            found = annotation.instances()
            assert [one.label for one in found] == [one.label for one in scene]
            for one, whole in zip(found, scene, strict=True):
                assert np.array_equal(one.mask, whole.mask & (labels != 255))
            assert any("SegmentationObject" in str(path) for path in annotation.files)


def test_some_masks_without_objects_are_refused_by_mask_rcnn(tmp_path: Path) -> None:
    root = build(tmp_path / "VOC2012", objects=2)
    spec = open_dataset(root)
    assert [keeps_instances(item.annotation) for item in spec.splits["train"]] == [True, True, False]
    with pytest.raises(DataError, match="1 of 3 train images have masks of classes"):
        train(root, tmp_path / "run", model="maskrcnn", encoder="resnet10t", check=False, quiet=True)


def test_a_file_of_another_size_is_named(tmp_path: Path) -> None:
    root = build(tmp_path / "VOC2012")
    Image.new("L", (9, 8)).save(root / "SegmentationObject" / f"{NAMES[0]}.png")
    annotation = open_dataset(root).splits["train"][0].annotation
    with pytest.raises(DataError, match=f"{NAMES[0]}.png: expected the number of an object.*found grey of 9x8"):
        annotation.instances()
