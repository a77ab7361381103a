"""Before every door: who may ask, what is counted, and that whatever goes wrong is one line."""

from __future__ import annotations

import base64
import hmac
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fullconv.serving.metrics import Metrics
from fullconv.serving.problems import Problem

LOG = logging.getLogger("fullconv.serve")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN = (
    "/", "/page.js", "/page.css", "/docs", "/docs.js", "/openapi.json", "/healthz", "/readyz", "/health",
    "/v2/health/live", "/v2/health/ready",
)  # fmt: skip
"""Paths that need no key: they say nothing of a model."""
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No page of ours may load anything from, or send anything to, another host."""
SAID = {
    "Content-Security-Policy": CONTENT_POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


@dataclass(frozen=True)
class Allowed:
    """Who may ask.

    Attributes:
        key: what a client has to know; empty: nothing.
        hosts: names that a client may call this server by, so that no page on another host can have a browser call it
            by a name of its own (DNS rebinding); empty: any.
        origins: other sites whose pages may ask.
    """

    key: str = ""
    hosts: Collection[str] = ()
    origins: Collection[str] = ()

    @classmethod
    def of(cls, key: str, cors: Sequence[str], host: str, own: bool) -> Allowed:
        """For a server that listens on ``host``; ``own``: this machine alone reaches it.

        A site that may ask may also be the server's own name, at which a proxy on this machine answers.
        """
        names = (*LOOPBACK, host.lower(), *(_name(urlsplit(site).netloc) for site in cors)) if own else ()
        return cls(key, names, tuple(cors))

    def refuse(self, path: str, headers: Headers) -> None:
        """Refuse who may not.

        Raises:
            Problem: 400, a name that is not this server's; 403, a page of another site; 401, without the key.
        """
        host = headers.get("host", "")
        if self.hosts and _name(host) not in self.hosts:
            raise Problem(400, f"this server is not called {host[:60]!r}; it answers to {', '.join(self.hosts)}")
        origin = headers.get("origin")
        if origin and origin not in self.origins and _place(origin) != host.lower():
            raise Problem(403, f"pages of {origin[:60]!r} may not ask; --cors names those that may")
        if self.key and path not in OPEN and not hmac.compare_digest(_key(headers).encode(), self.key.encode()):
            raise Problem(
                401, "the API key is missing or wrong; send it as Authorization: Bearer KEY, or X-API-Key: KEY",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip


def failed(path: str) -> Response:
    """The answer where it is our fault."""
    return Problem(500, "the server failed; its log says why").response(path)


def _name(host: str) -> str:
    """``host`` without its port, lower case."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str) -> str:
    """Host and port of an origin, lower case."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _key(headers: Headers) -> str:
    """As ``Bearer``, ``X-API-Key``, or the password of ``Basic``, which Label Studio sends."""
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode("utf-8").partition(":")[2]
        except ValueError:
            return ""
    return headers.get("x-api-key", "")


class Guard:
    """Around every door; only what browsers are told of other sites lies outside."""

    def __init__(self, app: ASGIApp, allowed: Allowed, metrics: Metrics) -> None:
        self.app, self.allowed, self.metrics = app, allowed, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, path = time.perf_counter(), 500, str(scope["path"])
        begun = False

        async def answered(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SAID.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self.allowed.refuse(path, Headers(scope=scope))
            await self.app(scope, receive, answered)
        except Problem as problem:
            await problem.response(path)(scope, receive, answered)
        except Exception:
            LOG.exception("%s failed", path)
            if not begun:
                await failed(path)(scope, receive, answered)
        finally:
            door = _door(scope)
            self.metrics.requests.labels(door, str(status)).inc()
            self.metrics.seconds.labels(door).observe(time.perf_counter() - start)


def _door(scope: dict[str, Any] | Scope) -> str:
    """The route's own path; never the client's, of which there could be any number."""
    return str(getattr(scope.get("route"), "path", "other"))
