"""Smoothed edges of masks."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fullconv.checking.smoothing import decode_strays, smoothed_share
from fullconv.data import Shapes
from fullconv.formats.open import open_dataset
from fullconv.images.mask_file import MaskFile
from tests.builders.folders import Make


def test_nearest_colour_looks_around_first(make_folder: Make) -> None:
    """A mixture of two neighbours that comes near a third, distant colour takes one of its neighbours."""
    root = make_folder(2)
    (root / "dataset.yaml").write_text("classes: {a: [0, 0, 0], b: [200, 0, 0], c: [110, 0, 0]}\n")
    mask = np.zeros((10, 30, 3), np.uint8)
    mask[:, 8:12] = (200, 0, 0)
    mask[:, 7], mask[:, 12] = (90, 0, 0), (120, 0, 0)
    mask[:, 25:] = (110, 0, 0)
    spec = open_dataset(root)
    decoded = decode_strays(MaskFile(root, "colour", mask), spec.encoding, spec.classes)
    assert decoded is not None
    assert decoded.smoothed()
    assert int(decoded.stray.sum()) == 20
    assert decoded.nearest()[3].tolist() == [0] * 8 + [1] * 5 + [0] * 12 + [2] * 5


def test_ids_between_others_are_told_from_classes_that_touch() -> None:
    scenes = [Shapes(height=96, width=128).draw(index)[1] for index in range(8)]
    sound = np.sum([smoothed_share(labels, 255) for labels in scenes], axis=0)
    blurred = [
        np.asarray(Image.fromarray(labels).resize((50, 40), Image.Resampling.BILINEAR).resize((128, 96)))
        for labels in scenes
    ]
    smoothed = np.sum([smoothed_share(labels, 255) for labels in blurred], axis=0)
    assert sound[0] / sound[1] < 0.05
    assert smoothed[0] / smoothed[1] > 0.2
    ring = np.zeros((9, 9), np.uint8)  # void between two classes says nothing
    ring[:, 4], ring[:, 5:] = 15, 20
    assert smoothed_share(ring, 15)[0] == 0
