"""Figures that may be unknown: nan, which no mean counts and JSON has no word for."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float) -> float | None:
    """JSON-ready: nan becomes null."""
    return None if math.isnan(value) else value


def known_mean(values: Sequence[float]) -> float:
    """Of those that are not nan; nan where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
