"""Data of boxes alone, or beside masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.data.drawing import NoMaskError
from fullconv.errors import DataError
from fullconv.evaluation.evaluate import evaluate
from fullconv.formats.open import open_dataset
from tests.builders.annotations import (
    BOXES_ALONE,
    HEIGHT,
    WIDTH,
    coco,
    pictures,
    voc,
    voc_object,
)
from tests.builders.commands import TINY, checked, complaint
from tests.builders.kinds import SQUARE, first
from tests.builders.models import make

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools


@pytest.mark.parametrize("name", BOXES_ALONE)
def test_boxes_alone_are_described_and_no_label_maps(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = BOXES_ALONE[name](tmp_path / "data")
    spec = open_dataset(root)
    (box,) = first(root)[1]
    assert (spec.layout, box.kind, box.name) == (name, "box", "cat")
    assert box.bounds == pytest.approx((2, 4, 8, 9))
    with pytest.raises(NoMaskError, match="found 1 box, expected masks or outlines"):
        read_sample(spec, next(item for items in spec.splits.values() for item in items if item.id == "a"))
    assert run(["check", str(root), "--labels", "masks", "--html", str(tmp_path / "page.html")]) == 3
    page = (tmp_path / "page.html").read_text()
    assert "<dt>annotations</dt><dd>1 box (cat 1)</dd>" in page
    assert "cannot be shown" not in page
    capsys.readouterr()
    report = checked(root, capsys, 3, "--labels", "masks")
    assert "annotations: 1 box (cat 1)" in str(report["printed"])
    assert report["annotations"] == {"box": {"cat": 1}}
    line = (
        f"{root}: 2 of 2 images have no mask: found 1 box, expected masks or outlines: no label map can be made of them"
    )
    assert report["problems"] == [line]
    for command in (
        ["train", str(root), "--out", str(tmp_path / "run"), *TINY, "--labels", "masks"],
        ["convert", str(root), str(tmp_path / "copy")],
    ):
        assert run(command) == 3
        assert line in complaint(capsys)
    with pytest.raises(DataError, match="1 of 1 images have no mask"):
        evaluate(make(), spec, "train")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "copy").exists()


def test_images_with_boxes_only_beside_others_with_masks_are_counted(tmp_path: Path) -> None:
    outline = {"id": 1, "category_id": 3, "segmentation": SQUARE, "bbox": [2, 2, 6, 6]}
    root = coco(tmp_path, outline, {"id": 2, "image_id": 1, "category_id": 8, "bbox": [1, 1, 3, 3]})
    spec = open_dataset(root)
    assert "1 annotation has a box and no outline or mask: kept, and not drawn" in spec.reasons
    assert "1 image has boxes only: all of the label map is background" in spec.reasons
    assert all(item.annotation.has_label_map for items in spec.splits.values() for item in items)


def test_boxes_of_voc_stay_beside_its_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("2007_000001", "2007_000002", "2007_000003")
    root = voc(tmp_path, voc_object("cat", (3, 5, 8, 9), "<difficult>1</difficult>"), names=names)
    pictures(root / "SegmentationClass", names)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, part in (("train", names[:2]), ("val", names[2:])):
        (lists / f"{split}.txt").write_text("\n".join(part))
    for name in names:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[4:9, 2:8] = 8
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{name}.png")
    (root / "Annotations" / f"{names[2]}.xml").unlink()
    spec = open_dataset(root)
    assert spec.layout == "voc"
    assert "boxes of 2 files of Annotations are kept beside the masks; no label map shows them" in spec.reasons
    item = spec.split("train")[0]
    (box,) = item.annotation.annotations()
    assert (box.kind, spec.classes.names[box.label], box.difficult) == ("box", "cat", True)
    labels = read_sample(spec, item).labels
    left, top, right, bottom = (int(v) for v in box.bounds or ())
    assert (labels[top:bottom, left:right] == 8).all()
    assert (labels == 8).sum() == (bottom - top) * (right - left)
    assert spec.split("val")[0].annotation.annotations() == ()
    assert "annotations: 1 box (cat 1)" in str(checked(root, capsys)["printed"])
    (root / "Annotations" / f"{names[0]}.xml").write_text("<annotation><object>")
    assert f"{names[0]}.xml: not readable XML" in str(checked(root, capsys, code=3)["printed"])
