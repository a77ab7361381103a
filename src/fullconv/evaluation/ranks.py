"""Whether what a model is unsure of is what it gets wrong: rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

FEWEST = 3
"""Of fewer values there is no correlation."""


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1, ties with their mean rank; pairs with a nan are left out.

    Returns:
        nan for fewer than three pairs, or where all values of a side are the same.

    Source: Spearman, "The proof and measurement of association between two things", Am. J. Psychology 15 (1904).
    """
    from scipy.stats import rankdata

    pairs = np.array([first, second], dtype=float)
    pairs = pairs[:, ~np.isnan(pairs).any(0)]
    if pairs.shape[1] < FEWEST:
        return math.nan
    ranks = rankdata(pairs, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    spread = math.sqrt(float((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / spread if spread else math.nan
