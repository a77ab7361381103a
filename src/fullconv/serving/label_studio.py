"""What a model says as Label Studio has it, by its labelling configuration.

Format: Label Studio's documentation of predictions.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullconv.errors import DataError, first_few
from fullconv.formats.read.xml import parse_xml_text
from fullconv.formats.write.label_studio import packed
from fullconv.label_map import Prediction
from fullconv.polygons.trace import without_holes
from fullconv.serving.pieces import refuse_many_pieces
from fullconv.serving.problems import Problem
from fullconv.spec import ClassSet

TAGS = {"BrushLabels": "brushlabels", "PolygonLabels": "polygonlabels"}
"""The tags that can hold what a model says; of two the first here is used."""


@dataclass(frozen=True)
class Interface:
    """What a labelling configuration says.

    Attributes:
        kind: of regions: ``brushlabels`` or ``polygonlabels``.
        from_name, to_name: of the tag of labels, and of the image's.
        key: of the image in a task's data.
        labels: of ids: the label's value there.
        notes: what is not the same on both sides.
    """

    kind: str
    from_name: str
    to_name: str
    key: str
    labels: dict[int, str]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, text: str, classes: ClassSet) -> Interface:
        """Read a labelling configuration.

        Raises:
            Problem: 400, no XML, no image, no labels for it, or none that the model knows.
        """
        try:
            root = parse_xml_text(text, "the labelling configuration")
        except DataError as error:
            raise Problem(400, str(error)) from error
        image = next((tag for tag in root.iter("Image") if tag.get("name") and tag.get("value", "")[:1] == "$"), None)
        if image is None:
            raise Problem(400, 'the labelling configuration has no <Image name="..." value="$..."/>')
        found = [tag for name in TAGS for tag in root.iter(name) if tag.get("toName") == image.get("name")]
        if not found or not found[0].get("name"):
            raise Problem(400, f"the labelling configuration has neither {' nor '.join(TAGS)} for its image")
        labels, notes = _matched(found[0], classes)
        return cls(
            TAGS[found[0].tag], found[0].attrib["name"], image.attrib["name"], image.attrib["value"][1:], labels, notes
        )


def _matched(tag: ET.Element, classes: ClassSet) -> tuple[dict[int, str], tuple[str, ...]]:
    """Classes and labels of one name, capitals aside where the same is not there."""
    values = [label.get("value", "") for label in tag.iter("Label")]
    near = {value.casefold(): value for value in values}
    labels = {
        index: name if name in values else near[name.casefold()]
        for index, name in enumerate(classes.names)
        if name in values or name.casefold() in near
    }
    unknown = [value for value in values if value not in labels.values()]
    without = [name for index, name in enumerate(classes.names) if index not in labels and index != classes.background]
    if not labels:
        raise Problem(
            400, f"the model knows none of the labels {first_few(values, 8)}; its classes are "
            f"{first_few(list(classes.names), 8)}: name the labels like them",
        )  # fmt: skip
    notes = []
    if unknown:
        notes.append(f"labels that the model does not know: {first_few(unknown, 8)}")
    if without:
        notes.append(f"classes without a label, left out: {first_few(without, 8)}")
    return labels, tuple(notes)


def regions(prediction: Prediction, interface: Interface) -> list[dict[str, Any]]:
    """What Label Studio shows as its annotator's to correct: a brush for each class, or a polygon for each piece."""
    assert prediction.confidence is not None
    height, width = prediction.labels.shape
    found = list[dict[str, Any]]()

    def add(label: int, score: float, value: dict[str, Any]) -> None:
        found.append({
            "id": uuid.uuid4().hex[:10], "from_name": interface.from_name, "to_name": interface.to_name,
            "original_width": width, "original_height": height, "image_rotation": 0, "type": interface.kind,
            "score": score, "value": {**value, interface.kind: [interface.labels[label]]},
        })  # fmt: skip

    sure = {}
    for label in np.unique(prediction.labels).tolist():
        if label in interface.labels:
            mask = prediction.labels == label
            sure[label] = float(prediction.confidence[mask].mean())
            if interface.kind == "brushlabels":
                add(label, sure[label], {"format": "rle", "rle": list(packed(mask))})
    if interface.kind == "polygonlabels":
        refuse_many_pieces(prediction)
        for piece in prediction.polygons():
            for part in without_holes(piece.shape) if piece.label in sure else ():
                points = np.asarray(part.exterior.coords)[:-1] * (100 / width, 100 / height)
                add(piece.label, sure[piece.label], {"points": points.tolist(), "closed": True})
    return found


def result_of(prediction: Prediction, interface: Interface) -> dict[str, Any]:
    """The regions, and how sure the model is of the image as a whole."""
    assert prediction.confidence is not None
    return {"result": regions(prediction, interface), "score": float(prediction.confidence.mean())}
