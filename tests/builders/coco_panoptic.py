"""COCO's panoptic maps and their JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES: list[dict[str, Any]] = [
    {"id": 200, "name": "rug-merged", "isthing": 0, "color": [250, 141, 255]},
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 13, "name": "stop sign", "isthing": 1, "color": [220, 220, 0]},
]
SEGMENTS = np.array([[0, 7, 7, 3_000_000], [65_536 * 255 + 256 * 3 + 2, 256, 256, 0]])
CATEGORY_OF = {7: 1, 3_000_000: 200, 65_536 * 255 + 256 * 3 + 2: 1, 256: 13}


def write(root: Path, part: str, names: list[str], **changes: Any) -> None:
    notes = root / "annotations"
    (root / part).mkdir(parents=True, exist_ok=True)
    (notes / f"panoptic_{part}").mkdir(parents=True, exist_ok=True)
    colours = np.stack([SEGMENTS % 256, SEGMENTS // 256 % 256, SEGMENTS // 65_536], 2).astype(np.uint8)
    for name in names:
        Image.new("RGB", (4, 2)).save(root / part / f"{name}.jpg")
        Image.fromarray(colours).save(notes / f"panoptic_{part}" / f"{name}.png")
    segments = [{"id": number, "category_id": category, "iscrowd": 0} for number, category in CATEGORY_OF.items()]
    content = {
        "images": [{"id": i, "file_name": f"{name}.jpg", "height": 2, "width": 4} for i, name in enumerate(names)],
        "annotations": [
            {"image_id": i, "file_name": f"{name}.png", "segments_info": segments} for i, name in enumerate(names)
        ],
        "categories": CATEGORIES,
    }
    (notes / f"panoptic_{part}.json").write_text(json.dumps(content | changes))
