"""Two images annotated with something of every kind, as each tool writes it; and with boxes alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

HEIGHT, WIDTH = 16, 20
NAMES = ("a", "b")


def pictures(folder: Path, names: tuple[str, ...] = NAMES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (WIDTH, HEIGHT), (40 * number, 90, 10)).save(folder / f"{name}.png")


def coco(root: Path, *annotations: dict[str, Any]) -> Path:
    """``annotations`` of the first image; the second has none."""
    pictures(root / "images")
    images = [{"id": i, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH} for i, name in enumerate(NAMES)]
    content = {
        "images": images,
        "annotations": [{"image_id": 0, "iscrowd": 0, **one} for one in annotations],
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    (root / "result.json").write_text(json.dumps(content))
    return root


def yolo(root: Path, *lines: str, **fields: Any) -> Path:
    pictures(root / "train" / "images")
    (root / "train" / "labels").mkdir()
    (root / "train" / "labels" / "a.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(json.dumps({"names": ["cat", "dog"], "train": "train/images", **fields}))
    return root


def labelme(root: Path, *shapes: dict[str, Any], flags: dict[str, bool] | None = None) -> Path:
    pictures(root)
    for name in NAMES:
        content = {
            "imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": None,
            "shapes": list(shapes) if name == "a" else [], "flags": (flags or {}) if name == "a" else {},
        }  # fmt: skip
        (root / f"{name}.json").write_text(json.dumps(content))
    return root


def cvat(root: Path, shapes: str) -> Path:
    pictures(root / "images")
    images = "".join(
        f'<image id="{i}" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{shapes if name == "a" else ""}</image>'
        for i, name in enumerate(NAMES)
    )
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{images}</annotations>")
    return root


def label_studio(root: Path, *results: dict[str, Any]) -> Path:
    pictures(root / "images")
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    tasks = [
        {
            "id": i, "predictions": [], "data": {"image": f"{name}.png"},
            "annotations": [{"result": [{**size, **one} for one in results] if name == "a" else []}],
        }
        for i, name in enumerate(NAMES)
    ]  # fmt: skip
    (root / "project.json").write_text(json.dumps(tasks))
    return root


def voc_object(name: str, box: tuple[int, int, int, int], flags: str = "", part: str = "") -> str:
    sides = "".join(f"<{side}>{v}</{side}>" for side, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{flags}<bndbox>{sides}</bndbox>{part}</object>"


def voc(root: Path, *objects: str, names: tuple[str, ...] = NAMES) -> Path:
    pictures(root / "JPEGImages", names)
    (root / "Annotations").mkdir()
    for name in names:
        content = f"<annotation><filename>{name}.png</filename>{''.join(objects) if name == names[0] else ''}"
        (root / "Annotations" / f"{name}.xml").write_text(content + "</annotation>")
    return root


BOXES_ALONE = {
    "coco": lambda root: coco(root, {"id": 1, "category_id": 3, "bbox": [2, 4, 6, 5]}),
    "yolo": lambda root: yolo(root, "0 0.25 0.40625 0.3 0.3125"),
    "voc_boxes": lambda root: voc(root, voc_object("cat", (3, 5, 8, 9))),
}
"""One box of a cat from x 2 to 8 and y 4 to 9, as each tool writes it."""
