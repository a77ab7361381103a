"""YOLO's text files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from PIL import Image

# 10 wide, 8 high; Pillow's polygon holds its outline, so 0.2 .. 0.5 of 10 is columns 2 to 5
SQUARE = "1 0.2 0.25 0.5 0.25 0.5 0.5 0.2 0.5"
BOX = "0 0.75 0.5 0.3 0.5"  # columns 6 to 9, rows 2 to 6


def put(root: Path, name: str, *rows: str | None) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8)).save(path)
    if None not in rows:
        parts = list(Path(name).parts)
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        label = root.joinpath(*parts).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("\n".join(row for row in rows if row))


def describe(root: Path, **fields: Any) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(yaml.safe_dump({"names": ["cat", "dog"], **fields}))
    return root


def roboflow(root: Path, *rows: str | None) -> Path:
    describe(root, train="../train/images", val="../valid/images", test="../test/images", nc=2)
    put(root, "train/images/a.jpg", *rows)
    put(root, "valid/images/b.jpg", BOX)
    return root
