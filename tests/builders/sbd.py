"""SBD's MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from fullconv.data import Shapes

SCENES = Shapes(height=40, width=56)


def write_sbd(root: Path, train: range, val: range) -> dict[str, np.ndarray]:
    """SBD's folder with scenes as images; the label maps by name."""
    for name in ("img", "cls", "inst"):
        (root / name).mkdir(parents=True)
    labels = {}
    for index in (*train, *val):
        image, ids = SCENES.draw(index)
        ids = np.where(ids == 4, 20, ids).astype(np.uint8)
        labels[f"p{index}"] = ids
        Image.fromarray(image).save(root / "img" / f"p{index}.jpg")
        truth = {"Boundaries": np.zeros((20, 1)), "Segmentation": ids, "CategoriesPresent": np.unique(ids)}
        savemat(root / "cls" / f"p{index}.mat", {"GTcls": truth}, do_compression=True)
    for name, part in (("train", train), ("val", val)):
        (root / f"{name}.txt").write_text("".join(f"p{index}\n" for index in part))
    return labels
