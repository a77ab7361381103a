"""The class tables are those that the data sets' owners publish.

Each digest was computed from the public file named beside it, not from our table, with the lines that the test writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from fullconv.formats.read import (
    ADE20K_CLASSES,
    CAMVID_CLASSES,
    CITYSCAPES_CLASSES,
    COCO_STUFF_CLASSES,
    VOC_NAMES,
)
from fullconv.formats.read.camvid_original import CAMVID_32, _segnet_split
from fullconv.formats.read.cityscapes import ENCODINGS
from fullconv.formats.read.sift_flow import SIFT_FLOW_NAMES
from fullconv.spec import ClassSet, Colour


def rows(names: Sequence[str], palette: Sequence[Colour]) -> list[str]:
    return [f"{name} {red} {green} {blue}" for name, (red, green, blue) in zip(names, palette, strict=True)]


def of(classes: ClassSet) -> list[str]:
    return rows(classes.names, classes.palette)


LABEL_IDS = {index: label for label, index in ENCODINGS["labelIds"].values.items()}

TABLES = {
    # data/pascal/classes.txt of the FCN authors (shelhamer/fcn.berkeleyvision.org, 1305c73)
    "VOC": ("301e5e4e2a9a7ab6", list(VOC_NAMES)),
    # cityscapesscripts/helpers/labels.py (mcordts/cityscapesScripts, 0bcc4a7): id, name, colour by training id
    "Cityscapes": ("995a2dacc9bdf27e", [f"{LABEL_IDS[i]} {row}" for i, row in enumerate(of(CITYSCAPES_CLASSES))]),
    # objectInfo150.txt (CSAILVision/sceneparsing, e202229), first synonyms, and color150.mat
    # (CSAILVision/semantic-segmentation-pytorch, 8f27c9b)
    "ADE20K": ("a648d7ebdd57a1d8", of(ADE20K_CLASSES)),
    # labels.txt (nightrome/cocostuff, 876a7db), without 0: unlabeled
    "COCO-Stuff": ("56bbb9bd51d6ad35", list(COCO_STUFF_CLASSES.names)),
    # data/sift-flow/classes.txt of the FCN authors: 01 to 33
    "SIFT Flow": ("d65012bb2ecec544", list(SIFT_FLOW_NAMES)),
    # label_colors.txt as the University of Cambridge publishes it with CamVid and CamSeq01
    "CamVid, 32": ("75fc9c3708120240", rows(list(CAMVID_32), [colour for colour, _ in CAMVID_32.values()])),
    # Scripts/test_segmentation_camvid.py (alexgkendall/SegNet-Tutorial, bb68b64)
    "CamVid, 11": ("04bd5424da747de6", of(CAMVID_CLASSES)),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_public_one(name: str) -> None:
    digest, lines = TABLES[name]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_rule_for_camvid_frames_gives_segnets_lists(split: str, shared: Path) -> None:
    lines = (shared / "data" / "camvid" / f"{split}.txt").read_text().split("\n")
    names = [Path(line.split()[0]).stem for line in lines if line.strip()]
    assert len(names) == {"train": 367, "val": 101}[split]
    assert {_segnet_split(name) for name in names} == {split}


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("voc", VOC_NAMES),
        ("cityscapes", CITYSCAPES_CLASSES.names),
        ("ade20k", ADE20K_CLASSES.names),
        ("coco_stuff", COCO_STUFF_CLASSES.names),
        ("sift_flow", SIFT_FLOW_NAMES),
    ],
)
def test_the_page_of_a_layout_lists_its_classes_in_order(page: str, names: Sequence[str]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "layouts" / f"{page}.md").read_text()
    assert ", ".join(names) in " ".join(text.split())
