"""The backend of Label Studio: regions come back as the masks that were predicted; only named hosts are asked."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fullconv.formats.read.label_studio_rle import BrushMask
from fullconv.label_map import Prediction
from fullconv.segmenter import Segmenter
from fullconv.serving.asking import Server
from fullconv.serving.fetching import Fetcher
from fullconv.serving.guard import Allowed
from fullconv.serving.label_studio import Interface
from fullconv.serving.label_studio_door import _all_of as all_of
from fullconv.serving.limits import Limits
from fullconv.serving.problems import Problem
from tests.builders.consumers import python_with, run_script
from tests.builders.models import CLASSES
from tests.builders.serving import Client, client_of
from tests.builders.studio import IMAGE, Studio, studio_at

BRUSH = """<View><Image name="photo" value="$picture"/><BrushLabels name="brush" toName="photo">
<Label value="Disc"/><Label value="ring"/><Label value="cat"/></BrushLabels></View>"""
POLYGON = BRUSH.replace("BrushLabels", "PolygonLabels")


@pytest.fixture(scope="module")
def studio() -> Iterator[str]:
    with studio_at() as address:
        yield address


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def door(running: Server, studio: str, lines: list[str]) -> Client:
    limits = Limits(megabytes=0.2)
    return client_of(running, Allowed(), fetcher=Fetcher([studio], limits), say=lines.append)


@pytest.fixture(scope="module")
def right(segmenter: Segmenter) -> Prediction:
    return segmenter.predict(IMAGE, confidence=True)


def asked(door: Client, config: str = BRUSH, address: str = "/data/upload/a.png") -> Any:
    task = {"id": 7, "data": {"picture": address}}
    return door.post("/predict", {"tasks": [task], "label_config": config, "project": "1.2", "params": {}})


def test_setup_says_the_version_and_what_does_not_match(
    door: Client, studio: str, lines: list[str], running: Server
) -> None:
    assert door.get("/health").json() == {"status": "UP", "model_class": "fullconv"}
    given = {"project": "1.2", "schema": BRUSH, "hostname": studio, "access_token": "secret", "extra_params": {}}
    said = door.post("/setup", given).json()
    assert said["model_version"] == f"shapes-{running.models.get().version}"
    assert set(lines) == {"label-studio: labels that the model does not know: cat",
                          "label-studio: classes without a label, left out: ground"}  # fmt: skip
    asked(door)
    assert Studio.asked[-1] == ("/data/upload/a.png", "Token secret")
    other = {**given, "hostname": "http://localhost:1", "access_token": "other"}  # one that was not told its address
    assert door.post("/setup", other).status == 200
    assert (
        lines[-1] == f"label-studio: it calls itself http://localhost:1; images are fetched from {studio}/ all the same"
    )
    asked(door)
    assert Studio.asked[-1] == ("/data/upload/a.png", "Token other")


def test_brushes_are_the_predicted_masks(door: Client, right: Prediction, tmp_path: Path) -> None:
    (result,) = asked(door).json()["results"]
    here = [(name, label) for name, label in (("Disc", 1), ("ring", 2)) if (right.labels == label).any()]
    assert here
    assert result["score"] == pytest.approx(right.confidence.mean(), rel=1e-5)
    for region, (name, label) in zip(result["result"], here, strict=True):
        assert region["value"]["brushlabels"] == [name]
        assert (region["type"], region["from_name"], region["to_name"]) == ("brushlabels", "brush", "photo")
        assert (region["original_height"], region["original_width"]) == IMAGE.shape[:2]
        mask = BrushMask(bytes(region["value"]["rle"])).decode(IMAGE.shape[:2], "region")
        assert np.array_equal(mask, right.labels == label)
        assert region["score"] == pytest.approx(right.confidence[mask].mean(), rel=1e-5)


SCRIPT = """
import json, sys, numpy as np
from label_studio_sdk.converter.brush import decode_rle
labels = np.load(sys.argv[2])
regions = json.load(open(sys.argv[1]))["results"][0]["result"]
ids = {"Disc": 1, "ring": 2}
assert len(regions) == len(set(np.unique(labels)) - {0}) > 0
for region in regions:
    label = ids[region["value"]["brushlabels"][0]]
    shape = region["original_height"], region["original_width"], 4
    mask = decode_rle(region["value"]["rle"]).reshape(shape)[..., 3]
    assert set(np.unique(mask)) <= {0, 255}
    assert np.array_equal(mask > 0, labels == label)
"""


def test_label_studios_own_converter_reads_them(door: Client, right: Prediction, tmp_path: Path) -> None:
    python = python_with("label_studio_sdk.converter.brush", "FULLCONV_LABEL_STUDIO_PYTHON")
    (tmp_path / "reply.json").write_bytes(asked(door).body)
    np.save(tmp_path / "labels.npy", right.labels)
    run_script(python, SCRIPT, tmp_path / "reply.json", tmp_path / "labels.npy")


def test_polygons_in_percent(door: Client, right: Prediction) -> None:
    (result,) = asked(door, POLYGON).json()["results"]
    pieces = [piece for piece in right.polygons() if piece.label]
    assert len(result["result"]) >= len(pieces) > 0
    for region in result["result"]:
        points = np.array(region["value"]["points"])
        assert region["value"]["closed"]
        assert region["value"]["polygonlabels"][0] in ("Disc", "ring")
        assert points.min() >= 0
        assert points.max() <= 100
    total = sum(piece.shape.area for piece in pieces)
    assert sum(area(region["value"]["points"]) for region in result["result"]) == pytest.approx(total)


def area(points: list[list[float]]) -> float:
    """The shoelace formula, in pixels."""
    x, y = np.array(points).T * np.array([[IMAGE.shape[1]], [IMAGE.shape[0]]]) / 100
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def test_a_broken_image_does_not_take_the_others_with_it(door: Client, lines: list[str]) -> None:
    tasks = [
        {"id": n, "data": {"picture": f"/{where}"}} for n, where in enumerate(("data/a.png", "large", "data/b.png"))
    ]
    results = door.post("/predict", {"tasks": tasks, "label_config": BRUSH}).json()["results"]
    assert [bool(one) for one in results] == [True, False, True]
    assert results[1] == []  # which Label Studio takes for no prediction
    assert lines[-1] == "label-studio: 1 of 3 tasks without a prediction: 1 (/large: more than 0.2 MB)"
    reply = door.post("/predict", {"tasks": tasks[1:2], "label_config": BRUSH})
    assert (reply.status, lines[-1]) == (413, "label-studio: /large: more than 0.2 MB")


def test_when_time_ends_what_is_done_counts() -> None:
    async def one(task: dict[str, Any]) -> dict[str, Any]:
        if task["id"] == late:
            raise Problem(503, "no time is left")
        return task

    tasks, late = [{"id": 0}, {"id": 1}, {"id": 2}], 1
    assert asyncio.run(all_of(tasks, one)) == (
        [{"id": 0}, [], []],
        ["no time was left, retrieve predictions again"] * 2,
    )
    late = 0
    with pytest.raises(Problem, match="no time is left"):
        asyncio.run(all_of(tasks, one))


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("", "no labelling configuration"),
        ("<View>", "not readable XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "document type"),
        ("<View/>", "no <Image"),
        ('<View><Image name="i" value="$i"/></View>', "neither BrushLabels nor PolygonLabels"),
        (BRUSH.replace("Disc", "dog").replace("ring", "cow"), "knows none of the labels dog, cow, cat"),
    ],
)
def test_configurations_that_cannot_be_served(door: Client, config: str, word: str) -> None:
    for reply in (door.post("/setup", {"schema": config}), asked(door, config)):
        assert reply.status == 400
        assert word in reply.json()["detail"]


def test_only_named_hosts_are_asked(door: Client, studio: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = studio.rpartition(":")[2]
    Studio.elsewhere = f"http://localhost:{port}/data/upload/a.png"  # the same machine, by a name that was not given
    for address in (
        "http://evil.example/a.png", "file:///etc/passwd", "s3://bucket/a.png", "//evil.example/a.png", "http://[",
        f"http://127.0.0.1:{int(port) + 1}/a.png", f"http://user@127.0.0.1:{port}/data/a.png",
        f"https://127.0.0.1:{port}/data/a.png", "http://127.0.0.1.evil.example/", f"{studio}@evil.example/data/a.png",
    ):  # fmt: skip
        before = len(Studio.asked)
        reply = asked(door, address=address)
        assert (reply.status, len(Studio.asked)) == (422, before), address
    assert asked(door, address="/to/self").status == 200
    assert asked(door, address=f"{studio}/to/other").status == 422
    assert asked(door, address="/large").status == 413
    assert door.post("/predict", {"tasks": [{"data": {}}], "label_config": BRUSH}).status == 400
    with monkeypatch.context() as patch:  # the name comes to mean another machine
        patch.setattr(socket, "getaddrinfo", lambda *_, **_more: [(2, 1, 6, "", ("10.0.0.1", 80))])
        reply = asked(door)
        assert reply.status == 422
        assert "is now 10.0.0.1, a private address" in reply.json()["detail"]


def test_webhooks_are_noted(door: Client) -> None:
    assert door.post("/webhook", {"action": "ANNOTATION_CREATED", "project": {"id": 1}}).status == 201
    assert door.post("/webhook", {"action": "OTHER"}).status == 200
    assert door.post("/webhook", b"{").status == 400


def test_the_doors_are_shut_unless_asked_for(client: Client) -> None:
    assert client.post("/predict", {"tasks": []}).status == 404


def test_an_interface_prefers_the_same_name() -> None:
    found = Interface.of(BRUSH.replace("cat", "disc"), CLASSES)
    assert found.labels == {1: "disc", 2: "ring"}
    assert json.dumps(found.notes)
