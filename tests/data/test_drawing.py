"""Outlines and masks of annotation tools, drawn."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from fullconv.errors import DataError
from fullconv.formats.read.cvat_xml import BoxRuns
from fullconv.formats.read.labelme_shapes import PngMask
from tests.builders.bombs import little_memory, png_bomb


def test_masks_much_larger_than_their_image_are_refused() -> None:
    text = base64.b64encode(png_bomb(66_000, 66_000)).decode()
    with little_memory(), pytest.raises(DataError, match="66000x66000 pixels, more than the limit of 400"):
        PngMask(text, (0, 0)).decode((10, 10), "x.json shape 0")
    runs = np.array([0, 10**12], np.int64)
    with little_memory(), pytest.raises(DataError, match="1000000x1000000 in an image of 10x10"):
        BoxRuns(runs, 0, 0, 10**6, 10**6).decode((10, 10), "annotations.xml: image a")
    with pytest.raises(DataError, match="not base64"):
        PngMask("ä", (0, 0)).decode((10, 10), "x.json shape 0")
