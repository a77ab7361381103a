"""Who may ask, and what every answer says."""

from __future__ import annotations

import asyncio
import base64

import pytest

from fullconv.serving.asking import Server
from fullconv.serving.guard import LOOPBACK, Allowed
from tests.builders.models import picture
from tests.builders.serving import Client, Reply, client_of, png

IMAGE = png(picture(9, 9))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic !!"}, 401),
        ({"x-api-key": "sécret"}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"x-api-key": "secret"}, 200),
        ({"authorization": "Basic " + base64.b64encode(b"anyone:secret").decode()}, 200),
    ],
)
def test_a_key_is_asked_for(running: Server, headers: dict[str, str], status: int) -> None:
    client = client_of(running, Allowed(key="secret"))
    assert client.post("/v1/segment", IMAGE, headers).status == status
    assert client.get("/healthz").status == client.get("/docs").status == client.get("/openapi.json").status == 200


def test_names_and_sites_that_are_not_ours(running: Server) -> None:
    client = client_of(running, Allowed(hosts=LOOPBACK))
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:80", "LOCALHOST"):
        assert client.get("/v1/models", {"host": host}).status == 200, host
    for host in ("evil.example", "localhost.evil.example", "", "[::1"):
        assert client.get("/v1/models", {"host": host}).status == 400, host
    own, foreign = {"host": "localhost:8000", "origin": "http://localhost:8000"}, {"origin": "https://evil.example"}
    assert client.post("/v1/segment", IMAGE, own).status == 200
    assert client.post("/v1/segment", IMAGE, foreign).status == 403
    for origin in ("null", "http://[", "http://[::1", "http://[v]"):
        assert client.post("/v1/segment", IMAGE, {"origin": origin}).status == 403, origin


def test_no_cors_unless_told(running: Server, client: Client) -> None:
    assert "access-control-allow-origin" not in client.get("/v1/models").headers
    told = client_of(running, Allowed(origins=("https://example.org",)))
    reply = told.post("/v1/segment", IMAGE, {"origin": "https://example.org"})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "https://example.org")
    assert told.post("/v1/segment", IMAGE, {"origin": "https://other.example"}).status == 403


def test_cors_with_a_key(running: Server) -> None:
    client = client_of(running, Allowed(key="secret", origins=("https://example.org",)))
    here = {"origin": "https://example.org"}
    before = {**here, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key, prefer"}

    def asked(headers: dict[str, str]) -> Reply:  # as browsers do, without the key
        return asyncio.run(client.send("OPTIONS", "/v1/segment", headers=headers))

    reply = asked(before)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "https://example.org")
    assert asked({**before, "origin": "https://other.example"}).status == 400
    assert asked({}).status == 401  # no browser
    refused = client.post("/v1/segment", IMAGE, here)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://example.org")
    found = client.post("/v1/segment", IMAGE, {**here, "x-api-key": "secret"})
    assert found.status == 200
    assert {"Model-Version", "Retry-After"} <= set(found.headers["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize("host", ["seg.example.org", "127.0.0.1:8000"])  # kept by the proxy, or not
def test_behind_a_proxy(running: Server, host: str) -> None:
    headers = {"host": host, "origin": "https://seg.example.org"}
    own = client_of(running, Allowed.of("", (), "127.0.0.1", own=True))
    assert own.post("/v1/segment", IMAGE, headers).status in (400, 403)
    told = client_of(running, Allowed.of("", ("https://seg.example.org",), "127.0.0.1", own=True))
    assert told.post("/v1/segment", IMAGE, headers).status == 200
    assert told.post("/v1/segment", IMAGE, {**headers, "origin": "https://evil.example"}).status == 403
    assert told.get("/v1/models", {"host": "evil.example"}).status == 400
    open_ = Allowed.of("", (), "0.0.0.0", own=False)
    assert client_of(running, open_).get("/v1/models", {"host": "any.example"}).status == 200


def test_every_answer_forbids_other_hosts(client: Client) -> None:
    for reply in (client.get("/v1/models"), client.get("/nowhere"), client.post("/v1/segment")):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
