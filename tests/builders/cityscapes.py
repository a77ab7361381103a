"""Images and masks as Cityscapes names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

LABELS = np.arange(34, dtype=np.uint8).reshape(2, 17)


def save_masks(root: Path, kind: str, part: str, stem: str, encoding: str, values: np.ndarray) -> None:
    folder = root / kind / part / stem.split("_")[0]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(folder / f"{stem}_{kind}_{encoding}.png")


def save_image(root: Path, part: str, stem: str) -> None:
    folder = root / "leftImg8bit" / part / stem.split("_")[0]
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (17, 2)).save(folder / f"{stem}_leftImg8bit.png")


def one(root: Path, part: str = "train", stem: str = "aachen_000000_000000") -> None:
    """An image with its fine mask."""
    save_image(root, part, stem)
    save_masks(root, "gtFine", part, stem, "labelIds", LABELS)
