"""A model as CVAT's auto-annotation function, and as its nuclio function.

Formats: ``cvat_sdk.auto_annotation`` (functions that cvat-cli runs), and the masks of CVAT's serverless detectors.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.errors import DataError
from fullconv.label_map import Prediction
from fullconv.libraries import library
from fullconv.polygons.trace import without_holes
from fullconv.pretrained import load
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet

FOR = "a function of CVAT"


def labels_of(classes: ClassSet) -> list[tuple[int, str]]:
    """Ids and names of what CVAT is told: all but the background."""
    return [(index, name) for index, name in enumerate(classes.names) if index != classes.background]


def masks_of(prediction: Prediction, threshold: float) -> Iterator[tuple[int, np.ndarray, float]]:
    """Of each class that is there: its id, its mask, and how sure the model is of it.

    Args:
        threshold: pixels of which the model is less sure are in no mask.
    """
    assert prediction.confidence is not None
    for label, _ in labels_of(prediction.classes):
        mask = (prediction.labels == label) & (prediction.confidence >= threshold)
        if mask.any():
            yield label, mask, float(prediction.confidence[mask].mean())


class Function:
    """What ``cvat-cli task auto-annotate`` runs: ``--function-module fullconv.serving.cvat -p model=str:FILE``.

    Args:
        model: a model file or run folder.
        device: as for :func:`fullconv.load`.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self._cvat = library("cvat_sdk.auto_annotation", FOR)
        self.segmenter = load(model, device)
        labels = [self._cvat.label_spec(name, id, type="any") for id, name in labels_of(self.segmenter.classes)]
        self.spec = self._cvat.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Any) -> list[Any]:
        """A mask of each class, or polygons where the task wants those.

        Args:
            context: of the frame: ``conf_threshold`` and ``conv_mask_to_poly`` are heeded.
            image: ``PIL.Image``.
        """
        encode_mask = library("cvat_sdk.masks", FOR).encode_mask
        threshold = context.conf_threshold or 0.0
        # CVAT's frames are stored as they are shown, and polygons of parts of a mask are traced from that mask
        prediction = self.segmenter.predict(image, confidence=True)
        if not context.conv_mask_to_poly:
            return [
                self._cvat.mask(label, encode_mask(mask)) for label, mask, _ in masks_of(prediction, threshold)
            ]  # fmt: skip
        return [
            self._cvat.polygon(piece.label, np.asarray(part.exterior.coords)[:-1].ravel().tolist())
            for piece in sure_only(prediction, threshold).polygons()
            for part in without_holes(piece.shape)
        ]


create = Function
"""The name that cvat-cli looks for."""


def sure_only(prediction: Prediction, threshold: float) -> Prediction:
    """The same, with pixels of which the model is less sure as no class."""
    assert prediction.confidence is not None
    ids = np.where(prediction.confidence >= threshold, prediction.labels, len(prediction.classes))
    return Prediction(ids, None, prediction.classes, prediction.image)


def answer(segmenter: Segmenter, body: Any) -> list[dict[str, Any]]:
    """What CVAT's nuclio functions give for ``{"image": base64, "threshold": t}``, as JSON or read already.

    Raises:
        DataError: something else.
    """
    try:
        given = json.loads(body) if isinstance(body, (str, bytes)) else body
        content = base64.b64decode(given["image"], validate=True)
        threshold = float(given.get("threshold") or 0)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error) as error:
        raise DataError(f"expected an image in base64 and a threshold as JSON ({type(error).__name__})") from error
    prediction = segmenter.predict(content, confidence=True)
    names = prediction.classes.names
    return [_entry(names[label], mask, sure) for label, mask, sure in masks_of(prediction, threshold)]


def _entry(name: str, mask: np.ndarray, sure: float) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    box = mask[top : bottom + 1, left : right + 1].astype(int).ravel().tolist()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return {
        "confidence": str(sure), "label": name, "type": "mask", "points": [v for xy in corners for v in xy],
        "mask": [*box, left, top, right, bottom],
    }  # fmt: skip


def open_beside(file: str) -> Segmenter:
    """The model in the folder of ``file``, a module that :func:`fullconv.cvat_function` wrote."""
    found = next(path for path in sorted(Path(file).parent.glob("model.*")) if path.suffix != ".bin")
    return load(found)
