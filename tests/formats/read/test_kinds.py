"""Every reader keeps what was annotated: kind, class, object, group and flags; the label map is a view of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from fullconv.data.drawing import Annotations
from fullconv.formats.open import open_dataset
from fullconv.formats.read.coco_regions import CocoLabels
from tests.builders.annotations import (
    HEIGHT,
    WIDTH,
    coco,
    cvat,
    label_studio,
    labelme,
    voc,
    voc_object,
    yolo,
)
from tests.builders.kinds import SQUARE, first

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
