"""COCO's JSON files, with regions of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from pycocotools import mask as mask_utils

SIZE = (8, 10)
CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}, {"id": 13, "name": "stop sign"}]
Box = tuple[int, int, int, int]


def box(left: int, top: int, right: int, bottom: int) -> list[float]:
    """The outline of a rectangle of whole pixels."""
    return [left, top, right, top, right, bottom, left, bottom]


def bits(*boxes: Box) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run lengths, down the columns."""
    counts, value, length = [], 0, 0
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(length)
            value, length = pixel, 0
        length += 1
    return {"size": list(SIZE), "counts": [*counts, length]}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask))
    return {"size": list(SIZE), "counts": rle["counts"].decode()}


def annotation(image: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0} | more


ANNOTATIONS = [
    annotation(5, 13, [box(1, 1, 3, 3), box(0, 6, 2, 8)]),  # small, listed first, and still above the large one
    annotation(5, 1, [box(0, 0, 8, 8)]),
    annotation(5, 90, uncompressed(bits((4, 4, 10, 8))), iscrowd=1),
    annotation(5, 13, compressed(bits((9, 0, 10, 2)))),
    annotation(5, 1, [[1, 1, 2, 2]]),  # two points
    annotation(8, 90, [box(-5, 6, 30, 30)]),  # beyond the image
]


def write(path: Path, folder: Path, ids: tuple[int, ...] = (5, 8, 9), **changes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for index in ids:
        Image.new("RGB", SIZE[::-1]).save(folder / f"{index:012d}.jpg")
    content = {
        "info": {"year": 2017},
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": SIZE[0], "width": SIZE[1]} for i in ids],
        "annotations": [entry for entry in ANNOTATIONS if entry["image_id"] in ids],
        "categories": CATEGORIES,
    }
    path.write_text(json.dumps(content | changes))


def build(root: Path, place: str = ".", **changes: Any) -> Path:
    notes = root / "annotations"
    write(notes / "instances_train2017.json", root / place / "train2017", **changes)
    write(notes / "instances_val2017.json", root / place / "val2017", ids=(8,))
    (notes / "captions_train2017.json").write_text("{}")
    return root


def roofs(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": k, "file_name": name, "height": 32, "width": 32} for k, name in enumerate(names)],
        "annotations": [
            {"id": k + 1, "image_id": k, "category_id": 1, "iscrowd": 0, "segmentation": [[2, 2, 20, 2, 20, 20]]}
            for k in range(len(names))
        ],
        "categories": [{"id": 1, "name": "roof"}],
    }
    path.write_text(json.dumps(content))


ROOF = int(mask_utils.decode(mask_utils.frPyObjects([[2, 2, 20, 2, 20, 20]], 32, 32)).sum())

FIRST = np.zeros(SIZE, int)
FIRST[:, :8] = 1
FIRST[4:, 4:] = 3
FIRST[1:3, 1:3] = FIRST[6:, :2] = FIRST[:2, 9] = 2
SECOND = np.zeros(SIZE, int)
SECOND[6:] = 3
