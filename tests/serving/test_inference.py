"""The Open Inference Protocol, by hand and through Triton's own client."""

from __future__ import annotations

import json
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

from fullconv.segmenter import Segmenter
from fullconv.serving import serve, tensors
from fullconv.serving.asking import Server
from fullconv.serving.guard import Allowed
from fullconv.serving.limits import Limits
from fullconv.serving.problems import Problem
from fullconv.serving.tensors import parse
from tests.builders.consumers import python_with, run_script
from tests.builders.models import picture
from tests.builders.serving import Client, application, server

IMAGES = np.stack([picture(12, 17), picture(12, 17)[::-1]])
INPUT = {"name": "images", "datatype": "UINT8", "shape": list(IMAGES.shape)}


def test_what_it_says_of_itself(client: Client, running: Server) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").status == client.get("/v2/health/ready").status == 200
    found = client.get("/v2/models/shapes").json()
    assert found["versions"] == [running.models.get().version]
    assert found["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert [one["datatype"] for one in found["outputs"]] == ["UINT8", "FP32"]
    assert client.get(f"/v2/models/shapes/versions/{found['versions'][0]}").json() == found
    assert client.get("/v2/models/shapes/ready").json() == {"name": "shapes", "ready": True}
    for missing in ("other", "shapes/versions/7", "other/ready"):
        reply = client.get(f"/v2/models/{missing}")
        assert (reply.status, set(reply.json())) == (404, {"error"})


def test_json_tensors(client: Client, segmenter: Segmenter) -> None:
    asked = {"id": "seven", "inputs": [{**INPUT, "data": IMAGES.ravel().tolist()}]}
    said = client.post("/v2/models/shapes/infer", asked).json()
    assert (said["id"], said["model_name"]) == ("seven", "shapes")
    (output,) = said["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("labels", "UINT8", [2, 12, 17])
    right = segmenter.predict(np.ascontiguousarray(IMAGES))
    assert np.array_equal(np.reshape(output["data"], (2, 12, 17)), [one.labels for one in right])
    nested = {"inputs": [{**INPUT, "data": IMAGES.tolist()}], "outputs": [{"name": "labels"}, {"name": "confidence"}]}
    labels, sure = client.post("/v2/models/shapes/infer", nested).json()["outputs"]
    assert labels["data"] == output["data"]
    expected = np.stack([segmenter.predict(np.ascontiguousarray(one), confidence=True).confidence for one in IMAGES])
    assert np.allclose(np.reshape(sure["data"], (2, 12, 17)), expected, atol=1e-5)


def test_binary_tensors(client: Client, segmenter: Segmenter) -> None:
    head = json.dumps(
        {
            "inputs": [{**INPUT, "parameters": {"binary_data_size": IMAGES.size}}],
            "outputs": [{"name": "labels", "parameters": {"binary_data": True}}, {"name": "confidence"}],
        }
    ).encode()
    length = {"Inference-Header-Content-Length".lower(): str(len(head))}
    reply = client.post("/v2/models/shapes/infer", head + IMAGES.tobytes(), length)
    cut = int(reply.headers["inference-header-content-length"])
    labels, sure = json.loads(reply.body[:cut])["outputs"]
    assert labels["parameters"] == {"binary_data_size": 2 * 12 * 17}
    found = np.frombuffer(reply.body[cut:], np.uint8).reshape(2, 12, 17)
    assert np.array_equal(found, [one.labels for one in segmenter.predict(np.ascontiguousarray(IMAGES))])
    assert len(sure["data"]) == found.size
    assert client.post("/v2/models/shapes/infer", head + IMAGES.tobytes()[1:], length).status == 400


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ([], "one entry in inputs"),
        ({"inputs": [{**INPUT, "name": "pixels", "data": []}]}, "called images"),
        ({"inputs": [{**INPUT, "datatype": "BYTES", "data": []}]}, "datatype"),
        ({"inputs": [{**INPUT, "shape": [1, -2, 3, 3], "data": []}]}, "shape"),
        ({"inputs": [{**INPUT, "data": [1, 2, 3]}]}, "1224 numbers"),
        ({"inputs": [{**INPUT, "shape": [1, 1, 1, 3], "data": [1, 2, 256]}]}, "no UINT8"),
        ({"inputs": [{**INPUT, "shape": [1, 1, 1, 3], "data": [1, 2, "x"]}]}, "3 numbers"),
        ({"inputs": [{**INPUT, "shape": [1, 1, 1, 3], "data": [1, [2, 3]]}]}, "one length"),
        ({"inputs": [{**INPUT, "shape": [1, 1, 1, 3], "data": [1, 2, True]}]}, "found bool"),
        ({"inputs": [{**INPUT, "datatype": "FP32", "shape": [1, 1, 1, 3], "data": [1, 2, 1e308]}]}, "infinite"),
        ({"inputs": [{**INPUT, "shape": [1, 1, 1, 2], "data": [1, 2]}]}, "3"),
        ({"inputs": [{**INPUT, "data": IMAGES.tolist()}], "outputs": [{"name": "scores"}]}, "scores"),
        ({"inputs": [{**INPUT, "shape": [1, 99999, 99999, 3], "data": []}]}, "megapixels"),
    ],
)
def test_refused_as_the_protocol_has_it(client: Client, request_: Any, word: str) -> None:
    reply = client.post("/v2/models/shapes/infer", request_)
    assert reply.status in (400, 413, 422)
    assert set(reply.json()) == {"error"}
    assert word in reply.json()["error"]


@pytest.mark.parametrize("data", [["x" * 50_000, *[""] * 400], [[]] * 9000, [["x" * 50_000], *[[""]] * 400]])
def test_data_that_would_be_large_as_an_array_are_refused_before_it_is_made(data: Any) -> None:
    body = json.dumps({"inputs": [{**INPUT, "data": data}]}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="numbers"):
            parse(body, None, Limits())
        assert tracemalloc.get_traced_memory()[1] < 10e6  # the first one's array has 80 MB
    finally:
        tracemalloc.stop()


def test_much_json_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"inputs": [{**INPUT, "data": IMAGES.ravel().tolist()}]}
    monkeypatch.setattr(tensors, "NUMBERS", 2 * 12 * 17 - 1)
    reply = client.post("/v2/models/shapes/infer", asked)
    assert (reply.status, "binary_data" in reply.json()["error"]) == (413, True)
    assert client.post("/v2/models/shapes/infer", asked | {"parameters": {"binary_data_output": True}}).status == 200
    monkeypatch.setattr(tensors, "JSON_BYTES", 1000)
    assert client.post("/v2/models/shapes/infer", asked).status == 413


SCRIPT = """
import sys, numpy as np
import tritonclient.http as triton
client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("shapes")
assert client.get_model_metadata("shapes")["platform"] == "fullconv"
images = np.load(sys.argv[2])
for binary in (True, False):
    given = triton.InferInput("images", list(images.shape), "UINT8")
    given.set_data_from_numpy(images, binary_data=binary)
    outputs = [triton.InferRequestedOutput("labels", binary_data=binary)]
    found = client.infer("shapes", [given], outputs=outputs).as_numpy("labels")
    assert np.array_equal(found, np.load(sys.argv[3])), binary
assert np.array_equal(client.infer("shapes", [given]).as_numpy("labels"), found)
try:
    client.get_model_metadata("other")
except triton.InferenceServerException as error:
    assert "no model is called" in str(error)
"""


def test_tritons_client(file: Any, tmp_path: Any, segmenter: Segmenter) -> None:
    python = python_with("tritonclient.http", "FULLCONV_TRITON_PYTHON")
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "labels.npy", [one.labels for one in segmenter.predict(np.ascontiguousarray(IMAGES))])
    bound = serve.listening("127.0.0.1", 0)
    listening = serve.uvicorn_server(application(server([file]), Allowed()))
    thread = threading.Thread(target=serve.run, args=(listening, bound))
    thread.start()
    try:
        host, port = bound.getsockname()
        run_script(python, SCRIPT, f"{host}:{port}", tmp_path / "images.npy", tmp_path / "labels.npy")
    finally:
        listening.should_exit = True
        thread.join(60)
        bound.close()
