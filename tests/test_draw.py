from __future__ import annotations

import numpy as np

from fullconv import draw
from fullconv.spec import ClassSet

CLASSES = ClassSet(("sky", "road"), ((0, 0, 200), (200, 0, 0)))


def test_colorize_and_overlay() -> None:
    labels = np.array([[0, 1, 255]], dtype=np.uint8)
    assert draw.colorize(labels, CLASSES).tolist() == [[[0, 0, 200], [200, 0, 0], [255, 255, 255]]]
    image = np.full((1, 3, 3), 100, dtype=np.uint8)
    assert draw.overlay(image, labels, CLASSES).tolist() == [[[50, 50, 150], [150, 50, 50], [100, 100, 100]]]


def test_contact_sheet_shows_every_row_in_three_columns() -> None:
    labels = np.zeros((30, 60), dtype=np.uint8)
    rows = [(np.full((30, 60, c), 90, dtype=np.uint8), labels, labels + 1) for c in (1, 3, 5)]
    sheet = draw.contact_sheet(rows, CLASSES, width=100)
    assert sheet.shape[1] == 3 * 100 + 4 * 6
    middle = sheet[22 + 25, [50, 156, 262]]  # the first row: grey image, mostly blue truth, mostly red prediction
    assert middle[0].tolist() == [90, 90, 90]
    assert middle[1][2] > 150 > middle[1][0]
    assert middle[2][0] > 150 > middle[2][2]


def test_curves_are_drawn() -> None:
    names = ("train_loss", "val_loss", "mean_iou", "pixel_accuracy", "mean_accuracy")
    history = [{"epoch": e, **dict.fromkeys(names, 0.1 * e)} for e in (1, 2, 3)]
    picture = draw.curves(history)
    assert picture.shape == (400, 1000, 3)
    assert (picture < 100).any()
