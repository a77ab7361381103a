from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from fullconv.evaluation.ranks import rank_correlation


def test_rank_correlation_is_scipys() -> None:
    random = np.random.default_rng(0)
    for _ in range(5):
        first, second = random.integers(0, 6, 20), random.normal(size=20)  # with ties
        assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert rank_correlation([1, 2, 3, math.nan], [1, 4, 9, 0]) == pytest.approx(1)


def test_of_too_few_or_equal_values_nothing_is_said() -> None:
    assert math.isnan(rank_correlation([1, 2], [1, 2]))
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
