"""A client that calls the application itself: no port, no thread of a server, and requests as broken as one likes."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from PIL import Image

from fullconv.pretrained import load
from fullconv.segmenter import Segmenter
from fullconv.serving.app import application
from fullconv.serving.asking import Server
from fullconv.serving.guard import Allowed
from fullconv.serving.limits import Limits
from fullconv.serving.metrics import Metrics
from fullconv.serving.models import Models
from fullconv.serving.queue import Queue


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def image(self) -> np.ndarray:
        with Image.open(io.BytesIO(self.body)) as picture:
            return np.asarray(picture)


class Client:
    """Calls an application; ``send`` awaits, ``get`` and ``post`` do not need to be awaited."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def send(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Sequence[tuple[bytes, bytes]] | dict[str, str] | None = None,
        cut: bool = False,
        gone: asyncio.Event | None = None,
    ) -> Reply:
        """``cut``: the connection ends before the body does; ``gone``: set, when the client hangs up behind it."""
        path, _, query = target.partition("?")
        given = headers or {}
        pairs = [(n.encode(), v.encode()) for n, v in given.items()] if isinstance(given, dict) else list(given)
        if not any(name == b"host" for name, _ in pairs):
            pairs.append((b"host", b"localhost"))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(path), "raw_path": path.encode("utf-8", "surrogateescape"), "root_path": "",
            "query_string": query.encode("utf-8", "surrogateescape"), "headers": pairs,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        blocks = [body] if isinstance(body, bytes) else list(body)
        events: list[dict[str, Any]] = [
            {"type": "http.request", "body": block, "more_body": cut or number < len(blocks)}
            for number, block in enumerate(blocks, 1)
        ]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop(0)
            if blocks and not cut:
                await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        head = sent[0]
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
        return Reply(head["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))

    def get(self, target: str, headers: dict[str, str] | None = None) -> Reply:
        return asyncio.run(self.send("GET", target, headers=headers))

    def post(self, target: str, body: Any = b"", headers: dict[str, str] | None = None) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(self.send("POST", target, content, headers))


def server(
    models: Sequence[Any], limits: Limits | None = None, *, batching: bool = True, said: list[str] | None = None
) -> Server:
    """Of model files, each ``NAME=PATH`` or a path."""
    metrics, limits = Metrics(), limits or Limits()
    lines = [] if said is None else said
    loaded = Models([str(one) for one in models], lambda file: load(file, "cpu", "fp32"), metrics, lines.append)
    return Server(loaded, Queue(limits.queue, metrics, batching), limits, metrics)


def client_of(found: Server, allowed: Allowed | None = None, **more: Any) -> Client:
    return Client(application(found, allowed or Allowed(), **more))


def png(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def segmenter_of(path: Path) -> Segmenter:
    return load(path, "cpu", "fp32")
