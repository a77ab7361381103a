"""Files beside the network: in order, and no error is lost."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.errors import FullconvError
from fullconv.images.values import Pixels
from fullconv.prediction.beside import Ahead, Behind


def test_rows_are_written_in_order_and_all_of_them_also_where_something_fails() -> None:
    seen: list[int] = []
    with Behind(lambda rows: seen.append(int(rows))) as behind:
        for number in range(9):
            behind.write(np.array(number))
    assert seen == list(range(9))

    def stopped() -> None:
        with Behind(lambda rows: seen.append(int(rows))) as behind:
            behind.write(np.array(9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert seen == list(range(10))


@pytest.mark.parametrize("lots", [1, 2])
def test_a_full_disk_is_raised_by_the_next_rows_or_at_the_end(lots: int) -> None:
    def full(rows: np.ndarray) -> None:
        raise FullconvError("the disk is full")

    def write() -> None:
        with Behind(full) as behind:
            for _ in range(lots):
                behind.write(np.zeros(1))

    with pytest.raises(FullconvError, match="the disk is full"):
        write()


def test_windows_are_read_ahead_in_order_and_their_errors_come_where_they_are_asked_for() -> None:
    windows = [(slice(0, 4), slice(left, left + 4)) for left in (0, 4, 8)]

    def read(rows: slice, columns: slice) -> Pixels:
        if columns.start == 8:
            raise FullconvError("damaged")
        return Pixels(np.full((4, 4, 3), columns.start, np.uint8), None)

    with Ahead(read, iter(windows)) as ahead:
        for rows, columns in windows[:2]:
            assert (ahead.read(rows, columns).image == columns.start).all()
        with pytest.raises(FullconvError, match="damaged"):
            ahead.read(*windows[2])
