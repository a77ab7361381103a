from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_opening

from fullconv.evaluation.thin import thin_counts


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("seed", range(4))
def test_thin_is_what_an_opening_removes(side: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.kron(random.integers(0, 4, (2, 6, 5)), np.ones((1, 7, 9), int)).astype(np.uint8)
    labels[:, 3:5], labels[1, :, 30:37] = 2, 255
    found = thin_counts(torch.from_numpy(labels), side, 4)
    for index in range(4):
        kept = [binary_opening(image == index, np.ones((side, side), bool)) for image in labels]
        assert found[index] == (labels == index).sum() - np.sum(kept)


@pytest.mark.parametrize(("width", "thin"), [(4, True), (7, True), (8, False), (9, False)])
def test_a_strip_is_thin_below_the_side(width: int, thin: bool) -> None:
    labels = torch.zeros(1, 60, 80, dtype=torch.uint8)
    labels[:, :, 30 : 30 + width] = 1
    assert thin_counts(labels, 8, 2).tolist() == [0, 60 * width if thin else 0]


def test_an_image_below_the_side_is_thin_all_over() -> None:
    assert thin_counts(torch.ones(2, 5, 9, dtype=torch.int32), 8, 300)[1] == 90
