from __future__ import annotations

import math

import numpy as np
import pytest

from fullconv import draw
from fullconv.draw.sheets import GAP, WRONG, wrong_colour
from fullconv.spec import ClassSet

CLASSES = ClassSet(("sky", "road"), ((0, 0, 200), (220, 190, 0)))
TOP = 20
"""Of the first row's pictures."""


def row(height: int = 60, width: int = 100, channels: int = 3, **fields: object) -> draw.Row:
    truth = np.zeros((height, width), np.uint8)
    truth[:, width // 2 :] = 1
    truth[: height // 2] = 255
    values: dict = {"predictions": (np.ones_like(truth),), "scores": (0.5,), **fields}
    return draw.Row("a", np.full((height, width, channels), 90, np.uint8), truth, **values)


def panel(sheet: np.ndarray, index: int, width: int = 100, height: int = 60) -> np.ndarray:
    left = GAP + index * (width + GAP)
    return sheet[TOP : TOP + height, left : left + width]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_image_truth_prediction_and_errors(channels: int) -> None:
    sheet = draw.contact_sheet([row(channels=channels)], CLASSES, width=100)
    assert sheet.shape[1] == GAP + 4 * (100 + GAP)
    image, truth, prediction, errors = (panel(sheet, index) for index in range(4))
    assert (image == 90).all()
    assert (truth[45, 20, 2], truth[45, 80, 0]) > (150, 150)  # sky, road
    assert (prediction[:, :, 0] > 150).all()
    assert (errors[30:, :50] == WRONG).all()  # road over sky
    right = errors[31:, 51:].astype(int)
    assert (right.max(2) == right.min(2)).all()  # grey: nothing is wrong
    for one in (truth, errors):  # what is void is striped, and never wrong
        assert {tuple(c) for c in one[:29].reshape(-1, 3).tolist()} == {(255, 255, 255), (176, 176, 176)}


def test_boxes_of_the_legend_look_as_classes_do_over_the_grey_image() -> None:
    sheet = draw.contact_sheet([row()], CLASSES, width=100)
    legend = sheet[-20:].reshape(-1, 3).astype(int)
    for index, place in enumerate((20, 80)):
        shown = panel(sheet, 1)[45, place].astype(int)
        assert (np.abs(legend - shown).max(1) < 12).sum() > 30
        assert (legend == CLASSES.palette[index]).all(1).any()  # its frame


def test_small_errors_in_large_images_are_not_lost_or_enlarged() -> None:
    truth = np.zeros((600, 1000), np.uint8)
    predicted = truth.copy()
    predicted[:, 500:505] = 1
    one = draw.Row("a", np.zeros((600, 1000, 3), np.uint8), truth, (predicted,), (0.9,))
    errors = panel(draw.contact_sheet([one], CLASSES, width=100), 3).astype(int)
    line = errors[:, 50]
    assert (np.abs(line - (np.array(WRONG) + 90) / 2) <= 2).all()  # half of it
    assert (errors[:, :50] == 90).all()
    assert (errors[:, 51:] == 90).all()


def test_each_model_has_its_errors_and_rows_their_captions() -> None:
    two = row(predictions=(np.ones((60, 100), np.uint8), np.zeros((60, 100), np.uint8)), scores=(0.5, math.nan))
    sheet = draw.contact_sheet([two, row(note="worst")], CLASSES, 100, ("rate 1", "rate 2"))
    assert sheet.shape[1] == GAP + 6 * (100 + GAP)
    assert (panel(sheet, 5)[45, 80] == WRONG).all()
    captions = sheet[TOP + 60 : TOP + 78]
    assert [(captions[:, GAP + i * 108 : GAP + i * 108 + 100] < 128).any() for i in range(6)] == [
        True, False, True, True, True, True,
    ]  # fmt: skip


def test_narrow_and_tiny_images_are_drawn_too() -> None:
    for height, width in ((400, 10), (1, 1), (3, 500)):
        truth = np.zeros((height, width), np.uint8)
        one = draw.Row("n" * 300, np.zeros((height, width, 3), np.uint8), truth, (truth,), (1.0,))
        sheet = draw.contact_sheet([one], CLASSES, width=100)
        assert sheet.shape[1] == GAP + 4 * (100 + GAP)
        assert sheet.shape[0] < 400


def test_errors_have_a_colour_that_no_class_has() -> None:
    assert wrong_colour(CLASSES) == WRONG
    three = tuple(f"class_{index}" for index in range(3))
    assert wrong_colour(ClassSet(three)) == (214, 0, 214)  # the third of our own colours is a dark red
    red = ClassSet(("background", "disc"), ((236, 236, 236), (230, 80, 70)))
    assert wrong_colour(red) not in (WRONG, *red.palette)
    both = ClassSet(("disc", "pool"), ((230, 80, 70), wrong_colour(red)))
    assert wrong_colour(both) not in (WRONG, wrong_colour(red))
    painted = ClassSet(("background", "road"), ((214, 39, 40), (0, 0, 200)))
    assert wrong_colour(painted) == WRONG  # background is never painted
    assert (panel(draw.contact_sheet([row()], red, width=100), 3)[45, 20] == wrong_colour(red)).all()
