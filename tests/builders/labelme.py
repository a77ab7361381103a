"""LabelMe's JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

HEIGHT, WIDTH = 40, 60


def write(root: Path, *shapes: dict[str, Any], name: str = "a") -> None:
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / f"{name}.png")
    (root / f"{name}.json").write_text(json.dumps({"shapes": shapes, "imagePath": f"{name}.png", "imageData": None}))


def shape(kind: str, *points: tuple[float, float], label: str = "cat", **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points, **more}


def one_box(root: Path, name: str, label: str, **more: object) -> None:
    root.mkdir(exist_ok=True)
    Image.new("RGB", (60, 40)).save(root / f"{name}.png")
    shape = {"label": label, "shape_type": "rectangle", "points": [[5, 5], [20, 20]]}
    (root / f"{name}.json").write_text(json.dumps({"shapes": [shape], "imagePath": f"{name}.png", **more}))
