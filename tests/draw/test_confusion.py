from __future__ import annotations

import numpy as np
import pytest

from fullconv.draw import confusion_picture
from fullconv.draw.confusion import percent


def test_rows_are_shares_of_the_truth() -> None:
    """The diagonal alone is dark, an empty row is grey."""
    picture = confusion_picture([[90, 0, 0], [0, 1, 0], [0, 0, 0]], ("a", "b", "c")).astype(int)
    dark = (picture[..., 2] > 90) & (picture[..., 2] < 120) & (picture[..., 0] < 20)
    grey = (np.ptp(picture, axis=2) == 0) & (picture[..., 0] > 200) & (picture[..., 0] < 230)
    cells = dark.sum() / grey.sum()
    assert cells == pytest.approx(2 / 3, abs=0.1)  # two cells against one row of three


@pytest.mark.parametrize("classes", [1, 2, 21, 41, 150])
def test_any_number_of_classes_is_drawn(classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 1000, (classes, classes))
    picture = confusion_picture(counts, [f"a rather long name of a class {i}" for i in range(classes)])
    assert picture.dtype == np.uint8
    assert max(picture.shape) <= 2200


def test_percent_tells_all_and_nothing_from_nearly() -> None:
    assert [percent(share) for share in (1, 0.9999, 0.5, 0.001)] == ["100", "99", "50", "0"]
