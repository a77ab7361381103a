"""Every reader keeps what was annotated: kind, class, object, group and flags; the label map is a view of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.data.annotations import Annotation
from fullconv.data.drawing import Annotations, NoMaskError
from fullconv.errors import DataError
from fullconv.evaluation.evaluate import evaluate
from fullconv.formats.open import open_dataset
from fullconv.formats.read.coco_regions import CocoLabels
from tests.builders.annotations import (
    BOXES_ALONE,
    HEIGHT,
    WIDTH,
    coco,
    cvat,
    label_studio,
    labelme,
    pictures,
    voc,
    voc_object,
    yolo,
)
from tests.builders.commands import TINY, checked, complaint
from tests.builders.models import make

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools


class Kept(NamedTuple):
    """What is expected of an annotation; ``same`` is the number of the annotation whose object it belongs to."""

    kind: str
    name: str
    bounds: tuple[float, ...] | None = None
    same: int | None = None
    group: int | None = None
    flags: str = ""
    drawn: bool = False
    has_class: bool = True


SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


def rectangle(label: str, *points: tuple[float, float], kind: str = "rectangle", **more: object) -> dict[str, object]:
    return {"label": label, "shape_type": kind, "points": [list(point) for point in points], **more}


def of_coco(root: Path) -> Path:
    run = mask_utils.encode(np.asfortranarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8)))
    packed = {"size": [HEIGHT, WIDTH], "counts": run["counts"].decode()}
    return coco(
        root,
        {"id": 21, "category_id": 3, "segmentation": SQUARE, "bbox": [2, 2, 6, 6]},
        {"id": 22, "category_id": 8, "segmentation": packed, "iscrowd": 1, "bbox": [0, 0, 16, 16]},
        {"id": 23, "category_id": 8, "bbox": [1, 2, 3, 4]},
    )


def of_labelme(root: Path) -> Path:
    return labelme(
        root,
        rectangle("cat", (2, 2), (8, 2), (8, 8), kind="polygon", group_id=4),
        rectangle("cat", (12, 12), (10, 10), group_id=4, difficult=True),
        rectangle("dog", (5, 5), (5, 9), kind="circle"),
        rectangle("dog", (0, 0), (9, 3), kind="line"),
        rectangle("dog", (0, 0), (9, 3), (11, 4), kind="linestrip", group_id=4),
        rectangle("cat", (7, 8), kind="point"),
        flags={"sunny": True, "cloudy": False},
    )


def of_cvat(root: Path) -> Path:
    return cvat(
        root,
        """<polygon label="cat" points="2,2;8,2;8,8" z_order="1" group_id="5"/>
        <box label="cat" xtl="1" ytl="2" xbr="5" ybr="4" z_order="2" group_id="5"/>
        <ellipse label="dog" cx="5" cy="6" rx="3" ry="2" z_order="3"/>
        <mask label="dog" rle="0,4" left="3" top="4" width="2" height="2" z_order="4"/>
        <polyline label="dog" points="0,0;9,3" z_order="5"/><points label="cat" points="1,1;3,4" z_order="6"/>
        <skeleton label="cat" z_order="7"><points label="l" points="2,3"/><points label="r" points="4,3"/></skeleton>
        <tag label="blurred"/>""",
    )


def of_label_studio(root: Path) -> Path:
    def value(kind: str, label: str, number: str, **more: object) -> dict[str, object]:
        return {"id": number, "type": kind, "value": {kind: [label], **more}}

    choice = {"id": "f", "type": "choices", "value": {"choices": ["night"]}}
    return label_studio(
        root,
        value("polygonlabels", "cat", "a", points=[[10, 25], [40, 25], [40, 50]]),
        {**value("rectanglelabels", "cat", "b", x=10, y=25, width=30, height=50), "parentID": "a"},
        value("ellipselabels", "dog", "c", x=50, y=50, radiusX=10, radiusY=25),
        value("keypointlabels", "dog", "d", x=25, y=50, width=1),
        choice,
    )


CASES: dict[str, tuple[Callable[[Path], Path], list[Kept]]] = {
    "coco": (
        of_coco,
        [
            Kept("mask", "cat", (2, 2, 8, 8), drawn=True),
            Kept("mask", "dog", None, flags="crowd", drawn=True),
            Kept("box", "dog", (1, 2, 4, 6)),
        ],
    ),
    "yolo": (
        lambda root: yolo(root, "1 0.1 0.25 0.5 0.25 0.5 0.5", "0 0.5 0.5 0.2 0.25"),
        [Kept("mask", "dog", (2, 4, 10, 8), drawn=True), Kept("box", "cat", (8, 6, 12, 10), drawn=True)],
    ),
    "poses": (
        lambda root: yolo(root, "0 0.5 0.5 0.2 0.25 0.5 0.5 2 0 0 0 0.55 0.5 1", kpt_shape=[3, 3]),
        [Kept("box", "cat", (8, 6, 12, 10)), Kept("point", "cat", (10, 8, 11, 8), same=0)],
    ),
    "labelme": (
        of_labelme,
        [
            Kept("mask", "cat", (2, 2, 8, 8), group=4, drawn=True),
            Kept("box", "cat", (10, 10, 12, 12), same=0, group=4, flags="difficult", drawn=True),
            Kept("mask", "dog", (1, 1, 9, 9), drawn=True),
            Kept("line", "dog", (0, 0, 9, 3), drawn=True),
            Kept("line", "dog", (0, 0, 11, 4), group=4, drawn=True),
            Kept("point", "cat", (7, 8, 7, 8), drawn=True),
            Kept("tag", "sunny", has_class=False),
        ],
    ),
    "cvat": (
        of_cvat,
        [
            Kept("tag", "blurred", has_class=False),
            Kept("mask", "cat", (2, 2, 8, 8), group=5, drawn=True),
            Kept("box", "cat", (1, 2, 5, 4), same=1, group=5, drawn=True),
            Kept("mask", "dog", (2, 4, 8, 8), drawn=True),
            Kept("mask", "dog", None, drawn=True),
            Kept("line", "dog", (0, 0, 9, 3)),
            Kept("point", "cat", (1, 1, 3, 4)),
            Kept("point", "cat", (2, 3, 4, 3)),
        ],
    ),
    "label_studio": (
        of_label_studio,
        [
            Kept("mask", "cat", (2, 4, 8, 8), drawn=True),
            Kept("box", "cat", (2, 4, 8, 12), group=0, drawn=True),
            Kept("mask", "dog", (8, 4, 12, 12), drawn=True),
            Kept("point", "dog", (5, 8, 5, 8)),
            Kept("tag", "night", has_class=False),
        ],
    ),
    "voc_boxes": (
        lambda root: voc(
            root,
            voc_object("cat", (3, 5, 8, 9), "<difficult>1</difficult><truncated>1</truncated>"),
            voc_object("dog", (1, 1, 20, 16), part=voc_object("head", (2, 2, 4, 4)).replace("object>", "part>")),
        ),
        [
            Kept("box", "cat", (2, 4, 8, 9), flags="difficult truncated"),
            Kept("box", "dog", (0, 0, 20, 16)),
            Kept("box", "head", (1, 1, 4, 4), same=1, has_class=False),
        ],
    ),
}


def first(root: Path) -> tuple[object, tuple[Annotation, ...], tuple[str, ...]]:
    """Source, annotations and class names of image ``a``, out of a pickle as a reading process has them."""
    spec = open_dataset(root)
    item = next(item for items in spec.splits.values() for item in items if item.id == "a")
    source = pickle.loads(pickle.dumps(item)).annotation
    return source, source.annotations(), spec.classes.names


@pytest.mark.parametrize("name", CASES)
def test_kinds_objects_groups_and_flags_are_kept(name: str, tmp_path: Path) -> None:
    build, expected = CASES[name]
    _, found, classes = first(build(tmp_path))
    assert [one.kind for one in found] == [one.kind for one in expected]
    for one, kept in zip(found, expected, strict=True):
        assert one.name == kept.name
        assert one.label == (classes.index(kept.name) if kept.has_class else -1)
        assert one.bounds == (None if kept.bounds is None else pytest.approx(kept.bounds, abs=0.01))
        assert " ".join(f for f in ("crowd", "difficult", "truncated") if getattr(one, f)) == kept.flags
        assert (one.group, one.drawn) == (kept.group, kept.drawn)
    objects = [one.instance for one in found if one.kind != "tag"]
    leaders = [index for index, kept in enumerate(expected) if kept.same is None and kept.kind != "tag"]
    assert len(set(objects)) == len(leaders)
    for one, kept in zip(found, expected, strict=True):
        assert kept.same is None or one.instance == found[kept.same].instance


@pytest.mark.parametrize("name", ["coco", "yolo", "labelme", "cvat", "label_studio"])
def test_the_label_map_shows_what_is_drawn_and_nothing_else(name: str, tmp_path: Path) -> None:
    source, found, classes = first(CASES[name][0](tmp_path))
    drawing = source.drawing() if isinstance(source, CocoLabels) else source
    assert isinstance(drawing, Annotations)
    masks = [(one.label, drawing.mask(one)) for one in found if one.drawn]
    if drawing.overlap == "area":
        masks.sort(key=lambda pair: -int(pair[1].sum()))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    for label, mask in masks:
        expected[mask] = label
    assert len(masks) == sum(kept.drawn for kept in CASES[name][1])
    np.testing.assert_array_equal(drawing.label_map(len(classes), 255), expected)


def test_coco_is_read_as_pycocotools_reads_it(tmp_path: Path, shared: Path) -> None:
    for root, file in ((of_coco(tmp_path), "result.json"), (shared / "data" / "coco_polygons", "annotations.json")):
        theirs, spec = COCO(str(root / file)), open_dataset(root)
        numbers = {entry["id"]: entry["name"] for entry in theirs.dataset["categories"]}
        images = {Path(entry["file_name"]).stem: entry["id"] for entry in theirs.dataset["images"]}
        for item in (item for items in spec.splits.values() for item in items):
            source = item.annotation
            assert isinstance(source, CocoLabels)
            notes = theirs.imgToAnns[images[Path(item.id).name]]
            for one, note in zip(source.drawing().items, notes, strict=True):
                assert (one.instance, one.name) == (note["id"], numbers[note["category_id"]])
                assert one.crowd == bool(note["iscrowd"])
                if note.get("segmentation"):
                    np.testing.assert_array_equal(source.drawing().mask(one), theirs.annToMask(note))
                else:
                    left, top, width, height = note["bbox"]
                    assert one.bounds == (left, top, left + width, top + height)


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
    assert run(["check", str(root), "--html", str(tmp_path / "page.html")]) == 3
    page = (tmp_path / "page.html").read_text()
    assert "<dt>annotations</dt><dd>1 box (cat 1)</dd>" in page
    assert "cannot be shown" not in page
    capsys.readouterr()
    report = checked(root, capsys, code=3)
    assert "annotations: 1 box (cat 1)" in str(report["printed"])
    assert report["annotations"] == {"box": {"cat": 1}}
    line = (
        f"{root}: 2 of 2 images have no mask: found 1 box, expected masks or outlines: no label map can be made of them"
    )
    assert report["problems"] == [line]
    for command in (
        ["train", str(root), "--out", str(tmp_path / "run"), *TINY],
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
    assert "1 annotations are boxes without an outline or a mask: kept, and not drawn in the label map" in spec.reasons
    assert "1 images have boxes only: their label maps are all background" in spec.reasons
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
