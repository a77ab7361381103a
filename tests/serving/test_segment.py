"""``/v1/segment``: what comes back is what the segmenter says, in every form."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from fullconv.images.certainty import to_bytes
from fullconv.images.write import mask_image
from fullconv.label_map import Prediction
from fullconv.polygons.trace import trace
from fullconv.segmenter import Segmenter
from fullconv.serving import pieces
from fullconv.serving.asking import Server
from fullconv.serving.problems import Problem
from fullconv.spec import ClassSet
from tests.builders.models import picture
from tests.builders.serving import Client, png

IMAGE = picture(37, 53)


@pytest.fixture(scope="module")
def right(segmenter: Segmenter) -> Prediction:
    return segmenter.predict(IMAGE, confidence=True)


def test_json_has_areas_and_confidence(client: Client, right: Prediction) -> None:
    reply = client.post("/v1/segment", png(IMAGE))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    said = reply.json()
    assert (said["width"], said["height"], said["model"]) == (53, 37, "shapes")
    assert [row["name"] for row in said["classes"]] == ["ground", "disc", "ring"]
    for row in said["classes"]:
        here = right.labels == row["id"]
        assert row["pixels"] == here.sum()
        assert row["share"] == pytest.approx(here.mean())
        if here.any():
            assert row["confidence"] == pytest.approx(right.confidence[here].mean(), rel=1e-5)
        else:
            assert row["confidence"] is None
    assert "maps" not in said


def test_the_page_gets_every_pixel_in_one_picture(client: Client, right: Prediction) -> None:
    said = client.post("/v1/segment?maps=1", png(IMAGE)).json()
    with Image.open(io.BytesIO(base64.b64decode(said["maps"]))) as packed:
        red, green, blue = np.moveaxis(np.asarray(packed).astype(int), 2, 0)
    assert np.array_equal(red + 256 * green, right.labels)
    assert np.array_equal(blue, to_bytes("confidence", right.confidence))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_each_format_is_read_as_files_are(client: Client, segmenter: Segmenter, kind: str) -> None:
    content = png(IMAGE, kind)
    reply = client.post("/v1/segment", content, {"accept": "image/png; as=ids"})
    assert np.array_equal(reply.image(), segmenter.predict(content).labels)


def test_pictures_by_accept(client: Client, right: Prediction) -> None:
    palette = client.post("/v1/segment", png(IMAGE), {"accept": "image/webp, image/png;q=0.9, text/html;q=0.2"})
    with Image.open(io.BytesIO(palette.body)) as shown:
        assert shown.mode == "P"
        assert np.array_equal(np.asarray(shown), right.labels)
        assert shown.getpalette() == mask_image(right.labels, right.classes).getpalette()
    overlay = client.post("/v1/segment?as=overlay&opacity=0.25", png(IMAGE))
    assert np.array_equal(overlay.image(), right.overlay(0.25))
    sure = client.post("/v1/segment?as=confidence", png(IMAGE))
    assert np.array_equal(sure.image(), to_bytes("confidence", right.confidence))


def test_polygons_are_the_predictions(client: Client, right: Prediction) -> None:
    reply = client.post("/v1/segment?tolerance=0", png(IMAGE), {"accept": "application/geo+json"})
    assert reply.headers["content-type"] == "application/geo+json"
    found = reply.json()["features"]
    assert len(found) == len(right.polygons(0))
    coco = client.post("/v1/segment?tolerance=0&as=coco&min_area=9", png(IMAGE)).json()
    assert coco["images"] == [{"id": 1, "file_name": "the image", "height": 37, "width": 53}]
    pieces = right.polygons(0, 9)
    assert [entry["area"] for entry in coco["annotations"]] == [piece.shape.area for piece in pieces]
    assert {entry["id"] for entry in coco["categories"]} == {1, 2, 3}


def test_a_form_with_one_file_is_the_same(client: Client) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="../../a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + png(IMAGE) + b"\r\n--x--\r\n"
    )
    form = client.post("/v1/segment", body, {"content-type": "multipart/form-data; boundary=x"})
    assert form.status == 200
    assert form.body == client.post("/v1/segment", png(IMAGE)).body
    two = body.replace(b"--x--\r\n", body)
    assert client.post("/v1/segment", two, {"content-type": "multipart/form-data; boundary=x"}).status == 400
    none = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nword\r\n--x--\r\n'
    assert client.post("/v1/segment", none, {"content-type": "multipart/form-data; boundary=x"}).status == 400


@pytest.mark.parametrize(
    ("target", "body", "headers", "status", "word"),
    [
        ("/v1/segment", b"", {}, 400, "no bytes"),
        ("/v1/segment", b"GIF89a" + bytes(40), {}, 415, "PNG, JPEG, WebP, TIFF or BMP"),
        ("/v1/segment", b"\x93NUMPY\x01\x00" + bytes(40), {}, 415, "not an image"),
        ("/v1/segment", b"\x89PNG\r\n\x1a\n" + bytes(40), {}, 422, "the image"),
        ("/v1/segment", png(IMAGE)[:200], {}, 422, "the image"),
        ("/v1/segment?model=other", png(IMAGE), {}, 404, "there are shapes"),
        ("/v1/segment?as=svg", png(IMAGE), {}, 406, "geojson"),
        ("/v1/segment", png(IMAGE), {"accept": "text/html"}, 406, "image/png"),
        ("/v1/segment?opacity=2", png(IMAGE), {}, 422, "opacity"),
        ("/v1/segment?colour=red", png(IMAGE), {}, 422, "colour"),
        ("/v1/other", b"", {}, 404, "Not Found"),
        ("/v1/segment/..%2f..%2fetc/passwd", b"", {}, 404, "Not Found"),
        ("/v1/models", b"", {}, 405, "Method Not Allowed"),
        ("/v1/segment", b"", {"content-length": "99000000"}, 413, "32 MB"),
        ("/v1/segment", b"", {"content-length": "-1"}, 400, "Content-Length"),
    ],
)
def test_refused_in_one_line(
    client: Client, target: str, body: bytes, headers: dict[str, str], status: int, word: str
) -> None:
    reply = client.post(target, body, headers)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    said = reply.json()
    assert said["status"] == status
    assert word in said["detail"]
    assert "\n" not in said["detail"]


def test_models_metrics_and_health(client: Client, running: Server, segmenter: Segmenter) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    (model,) = client.get("/v1/models").json()["models"]
    assert model["version"] == running.models.get().version
    assert model["classes"][1] == {**model["classes"][1], "id": 1, "name": "disc", "colour": "#c80000"}
    assert client.get("/healthz").status == client.get("/readyz").status == 200
    client.post("/v1/segment", png(IMAGE))
    reply = client.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    answers = {
        (s.labels["path"], s.labels["status"]): s.value
        for s in families["fullconv_requests"].samples
        if s.name.endswith("_total")
    }
    assert answers["/v1/segment", "200"] >= 1
    assert {path for path, _ in answers} <= {"/v1/segment", "/v1/models", "/healthz", "/readyz", "/metrics", "other"}
    assert families["fullconv_accepted"].samples[0].value == 0
    assert json.loads(client.get("/openapi.json").body)["paths"]["/v1/segment"]["post"]["requestBody"]["required"]


def test_label_maps_of_too_many_pieces_are_no_polygons(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (40, 40)).astype(np.uint8)
    classes = ClassSet(("a", "b", "c"))
    prediction = Prediction(noise, None, classes, np.zeros((40, 40, 3), np.uint8))
    pieces.refuse_many_pieces(prediction)
    found = len(trace(noise, classes, 0))
    monkeypatch.setattr(pieces, "PIECES", found)
    pieces.refuse_many_pieces(prediction)
    monkeypatch.setattr(pieces, "PIECES", found - 1)
    with pytest.raises(Problem, match="larger min_area"):
        pieces.refuse_many_pieces(prediction)
    pieces.refuse_many_pieces(prediction, 9)
    monkeypatch.setattr(pieces, "BORDERS", 100)
    with pytest.raises(Problem, match="borders"):
        pieces.refuse_many_pieces(prediction, 9)
    monkeypatch.setattr(pieces, "PIECES", 0)
    for kind in ("geojson", "coco"):
        assert client.post(f"/v1/segment?as={kind}", png(IMAGE)).status == 422
