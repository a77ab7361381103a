"""The files of one image that is no raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fullconv.files import replacing
from fullconv.images.certainty import NOTHING, write_certainty
from fullconv.label_map import Prediction
from fullconv.prediction.inputs import Input
from fullconv.prediction.settings import Settings


def write_outputs(prediction: Prediction, image: Input, out: Path, asked: Settings) -> Path:
    """Write what is asked for, each file in one step; returns the mask, which comes last.

    Raises:
        FullconvError: the disk is full, or the folder cannot be written.
    """
    if asked.overlay:
        prediction.save_overlay(image.file(out, ".overlay.png"), only=asked.overlay_classes)
    for kind in NOTHING:
        if (values := getattr(prediction, kind)) is not None:
            write_certainty(image.file(out, f".{kind}.png"), kind, values)
    if prediction.probabilities is not None:
        with replacing(image.file(out, ".npz")) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, probabilities=prediction.probabilities)
    mask = image.file(out, ".png")
    prediction.save(mask)
    return mask


def held(prediction: Prediction) -> int:
    """Bytes in memory."""
    p = prediction
    return sum(one.nbytes for one in (p.labels, p.image, p.probabilities, p.confidence, p.entropy) if one is not None)
