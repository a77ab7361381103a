from __future__ import annotations

import pytest

from fullconv.errors import UsageError
from fullconv.palette import distinct_palette, voc_palette
from fullconv.spec import ClassSet, Preprocessing


def test_voc_palette_is_the_published_colour_map() -> None:
    # the first 21 colours of PASCAL VOC, as its development kit lists them
    published = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
        (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128),
        (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
    ]  # fmt: skip
    assert list(voc_palette(21)) == published
    assert voc_palette(256)[255] == (224, 224, 192)  # the void colour of VOC
    assert len(set(voc_palette(600))) > 500


def test_class_set_round_trip_and_defaults() -> None:
    classes = ClassSet(("a", "b"))
    assert (classes.ignore_index, classes.palette) == (255, distinct_palette(("a", "b")))
    assert ClassSet.from_dict(classes.to_dict()) == classes
    assert ClassSet(tuple(map(str, range(300)))).ignore_index == 65535


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (((),), "at least one"),
        ((("a", "a"),), "unique"),
        ((("a", "b"), ((0, 0, 0),)), "one colour per class"),
        ((("a",), ((0, 0, 300),)), "0 to 255"),
        ((("a", "b"), (), 1), "id of class 'b'"),
    ],
)
def test_class_set_refuses(arguments: tuple, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        ClassSet(*arguments)


def test_preprocessing_for_other_channels() -> None:
    grey = Preprocessing.for_channels(1)
    assert grey.mean == (pytest.approx((0.485 + 0.456 + 0.406) / 3),)
    assert Preprocessing.for_channels(3) == Preprocessing()
    assert Preprocessing.from_dict(Preprocessing(resize=(4, 5)).to_dict()) == Preprocessing(resize=(4, 5))
    with pytest.raises(UsageError, match="positive"):
        Preprocessing(std=(0, 1, 1))
