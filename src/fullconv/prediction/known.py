"""What an image's annotation knows of its labels, though it is no mask: which classes a pixel can have, or has."""

from __future__ import annotations

import numpy as np

from fullconv.weak.boxes import allowed
from fullconv.weak.denoise import restricted
from fullconv.weak.supervised import Supervised


def held(chances: np.ndarray, source: Supervised | None, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities held to what is known.

    Boxes: a pixel has no class but background and those of the boxes that it lies in; in those of no class it is void,
    as is what lies outside all of them where nothing is known of that. Tags: an image shows no class but those that it
    is tagged with, and background. Scribbles and points: what they cover is theirs.

    Args:
        chances: float ``[classes, height, width]``.
        source: the annotation, of another kind than a mask; None: nothing is known.
        ignore_index: of its classes.

    Returns:
        Probabilities, float32 ``[classes, height, width]``; and the labels that are settled already, int32
        ``[height, width]``: ids, ``ignore_index`` for void, -1 for those that the probabilities decide.
    """
    shape = (chances.shape[0], chances.shape[1], chances.shape[2])
    settled = np.full(shape[1:], -1, np.int32)
    if source is None:
        return chances.astype(np.float32), settled
    if source.kind == "boxes":
        boxes = source.boxes()
        can = allowed([box for box in boxes if box.label >= 0], shape, source.background)
        settled[~can.any(0)] = ignore_index
        for box in boxes:
            if box.label < 0:
                settled[box.top : box.bottom, box.left : box.right] = ignore_index
        return restricted(chances, can), settled
    if source.kind == "tags":
        can = np.zeros(shape, bool)
        can[[*source.tags(), *([] if source.background is None else [source.background])]] = True
        return restricted(chances, can), settled
    strokes = source.label_map(shape[0], ignore_index).astype(np.int32)
    settled[strokes != ignore_index] = strokes[strokes != ignore_index]
    return chances.astype(np.float32), settled
