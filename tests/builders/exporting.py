"""What tests of exports share."""

from __future__ import annotations

import pytest

from fullconv.exporting import artefact
from fullconv.exporting.cost import Cost
from fullconv.spec import ClassSet

CLASSES = ClassSet(("sky", "road", "car", "tree"), ((1, 2, 3), (200, 0, 0), (0, 0, 200), (9, 99, 9)))


SIZES = ((1, 1), (33, 65), (131, 90))


def no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the tiny network's file nothing can be loaded in another process."""
    monkeypatch.setattr(artefact, "cost", lambda file, runner: Cost(0.0, None))
