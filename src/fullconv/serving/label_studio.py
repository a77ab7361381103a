"""``--label-studio``: a machine learning backend for Label Studio.

Format: label-studio-ml-backend's ``api.py``; regions as Label Studio's documentation of predictions has them.
"""

from __future__ import annotations

import asyncio
import functools
import json
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from fastapi import APIRouter, Request, Response

from fullconv.errors import DataError, first_few
from fullconv.formats.read.xml import parse_xml_text
from fullconv.formats.write.label_studio import packed
from fullconv.label_map import Prediction
from fullconv.polygons.trace import without_holes
from fullconv.prediction.settings import Settings
from fullconv.serving.asking import Server, while_wanted
from fullconv.serving.deadline import Deadline
from fullconv.serving.fetching import Fetcher
from fullconv.serving.models import Served
from fullconv.serving.pieces import refuse_many_pieces
from fullconv.serving.problems import Problem
from fullconv.serving.tensors import JSON_BYTES
from fullconv.serving.uploads import body_of, size_of
from fullconv.spec import ClassSet

TAGS = {"BrushLabels": "brushlabels", "PolygonLabels": "polygonlabels"}
"""The tags that can hold what a model says; of two the first here is used."""
EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")


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


def router(server: Server, fetcher: Fetcher, say: Callable[[str], None]) -> APIRouter:
    """The routes that Label Studio calls; ``say`` takes lines for who runs the server."""
    routes, said = APIRouter(), set[str]()

    def interface_of(text: Any, served: Served) -> Interface:
        if not isinstance(text, str) or not text:
            raise Problem(400, "no labelling configuration; set up the labelling interface of the project first")
        interface = Interface.of(text, served.segmenter.classes)
        for note in set(interface.notes) - said:
            said.add(note)
            say(f"label-studio: {note}")
        return interface

    async def predicted(
        tasks: list[dict[str, Any]], interface: Interface, served: Served, deadline: Deadline
    ) -> list[dict[str, Any]]:
        results = []
        for task in tasks:
            data = task.get("data")
            address = data.get(interface.key) if isinstance(data, dict) else None
            if not isinstance(address, str):
                raise Problem(400, f"task {str(task.get('id'))[:40]}: data has no {interface.key}")
            content = await asyncio.to_thread(fetcher.get, address, deadline.at)
            size = await asyncio.to_thread(size_of, content, server.limits)
            made, sure = functools.partial(result_of, interface=interface), Settings(confidence=True)
            polygons = interface.kind == "polygonlabels"
            results.append(await server.ask(served, content, size, sure, made, deadline, polygons))
        return results

    @routes.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "fullconv"}

    @routes.post("/setup")
    async def setup(request: Request) -> dict[str, Any]:
        """A project is connected: its labelling configuration is checked."""
        given, served = await _json(request, server), server.models.get()
        interface = interface_of(given.get("schema"), served)
        _keep_token(given, fetcher)
        return {"model_version": _version(served), "notes": interface.notes}

    @routes.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        """Regions for the images of some tasks."""
        deadline = server.deadline(request)
        with server.queue.place(deadline):
            given, served = await _json(request, server, deadline), server.models.get()
            interface = interface_of(given.get("label_config"), served)
            tasks = given.get("tasks")
            if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
                raise Problem(400, "tasks is a list of tasks")
            results = await while_wanted(request, predicted(tasks, interface, served, deadline))
        return {"results": [{**one, "model_version": _version(served)} for one in results]}

    @routes.post("/webhook")
    async def webhook(request: Request, response: Response) -> dict[str, str]:
        """Nothing is learned here; fullconv train does that."""
        known = (await _json(request, server)).get("action") in EVENTS
        response.status_code = 201 if known else 200
        return {"status": "noted; fullconv train teaches a model" if known else "unknown event"}

    return routes


def _version(served: Served) -> str:
    return f"{served.name}-{served.version}"


def _keep_token(given: dict[str, Any], fetcher: Fetcher) -> None:
    """Label Studio's own token, for its own host, if that was named."""
    host, token = given.get("hostname"), given.get("access_token")
    if isinstance(host, str) and isinstance(token, str) and token.isascii() and token.isprintable() and host:
        if not urlsplit(host).netloc:
            return
        _, origin = fetcher.allowed(host)
        fetcher.tokens[origin] = token[:500]


async def _json(request: Request, server: Server, deadline: Deadline | None = None) -> dict[str, Any]:
    try:
        body = await body_of(request, server.limits, deadline or server.deadline(request))
        if len(body) > JSON_BYTES:
            raise Problem(413, f"more than {JSON_BYTES / 1e6:g} MB of JSON; ask for fewer tasks at once")
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the request is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise Problem(400, "the request is no JSON object")
    return found
