"""How many polygons a server makes of one label map."""

from __future__ import annotations

import numpy as np

from fullconv.label_map import Prediction
from fullconv.polygons.merge import pieces_of, without_small
from fullconv.serving.problems import Problem

BORDERS = 2_000_000
"""Edges between pixels of two classes: those of a noisy label map of 1,000 x 1,000."""
PIECES = 20_000
"""Polygons of an answer: some seconds of work, and megabytes of JSON."""


def refuse_many_pieces(prediction: Prediction, min_area: int = 0) -> None:
    """Refuse a label map that takes minutes, before it does.

    Raises:
        Problem: 422, it has more pieces than :data:`PIECES`, or longer borders than :data:`BORDERS`.
    """
    ids, void = prediction.labels, len(prediction.classes)
    edges = int(np.count_nonzero(ids[1:] != ids[:-1])) + int(np.count_nonzero(ids[:, 1:] != ids[:, :-1]))
    if edges > BORDERS:
        raise Problem(422, f"borders of {edges} pixels, {BORDERS} at most; fullconv predict --polygons has no limit")
    pieces = len(pieces_of(without_small(ids.astype(np.int32), min_area, void))[1])
    if pieces > PIECES:
        raise Problem(422, f"{pieces} pieces, {PIECES} at most; give a larger min_area than {min_area}")
