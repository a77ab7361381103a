from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data.annotations import Annotation, box_ring, in_words, kinds_of
from fullconv.data.drawing import Annotations
from fullconv.data.mixing import Relabelled
from fullconv.images.orientation import upright

HEIGHT, WIDTH = 20, 30


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_was_drawn_on_the_pixels_as_stored_is_turned_with_them(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.jpg", exif=exif)
    box = Annotation(1, "mask", (box_ring(3, 2, 11, 7),), drawn=True)
    source = Annotations("a", (HEIGHT, WIDTH), (box,), "coco", image=tmp_path / "a.jpg")
    if source.turn() != orientation:  # a half turn changes no size: nothing tells how it was drawn
        assert orientation < 5
        orientation = 1
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:7, 3:11] = 1
    labels = source.label_map(2, 255)
    np.testing.assert_array_equal(labels, upright(expected, orientation))
    (turned,) = source.annotations()
    left, top, right, bottom = (int(value) for value in turned.bounds or ())
    assert labels[top:bottom, left:right].all()
    assert labels.sum() == (bottom - top) * (right - left)


def test_ids_of_a_mixture_and_words() -> None:
    kinds = ("mask", "box", "box", "tag")
    items = tuple(Annotation(label, kind) for label, kind in zip((0, 1, 2, -1), kinds, strict=True))
    mixed = Relabelled(Annotations("a", (4, 4), items), 3, 255, (2, 65_535, 0), 3)
    assert [item.label for item in mixed.annotations()] == [2, -1, 0, -1]
    assert in_words(kinds_of(mixed.annotations())) == "1 mask, 2 boxes, 1 tag"
