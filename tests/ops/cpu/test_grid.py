from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.geometry import Window
from fullconv.ops.bilinear import places
from fullconv.ops.cpu.grid import make_grid


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_pixel_has_one_lane_that_reads_its_two_places(data: st.DataObject) -> None:
    coarse = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 150))
    size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 400))
    full = data.draw(st.floats(1, 700))
    left = data.draw(st.floats(-2, 50))
    align = data.draw(st.booleans())
    grid = make_grid(data.draw(st.sampled_from([1, 21, 500])), coarse, size, Window(0, left, size[0], full), align)
    lanes = grid.pixel >= 0
    assert sorted(grid.pixel[lanes]) == list(range(size[1]))
    assert grid.block % 16 == 0
    assert grid.row_start[0] == 0
    assert grid.row_start[-1] == size[0]
    expected = places(coarse[1], size[1], left, full, align).clip(0, coarse[1] - 1)
    block, lane = np.nonzero(lanes)
    phase, place = lane // grid.block, lane % grid.block
    low = grid.first_cell + block * grid.block + place - (phase < grid.left)
    t = grid.fraction[block, lane]
    assert ((t >= 0) & (t <= 1)).all()
    read = (1 - t) * low.clip(0, coarse[1] - 1) + t * (low + 1).clip(0, coarse[1] - 1)
    np.testing.assert_allclose(read, expected[grid.pixel[block, lane]], atol=1e-4)
