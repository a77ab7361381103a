"""All doors of a server as one ASGI application."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from fullconv.serving import inference, label_studio_door, page, segment
from fullconv.serving.asking import Server
from fullconv.serving.fetching import Fetcher
from fullconv.serving.guard import Allowed, Guard, failed
from fullconv.serving.problems import Problem
from fullconv.serving.tensors import LENGTH


def application(
    server: Server,
    allowed: Allowed,
    fetcher: Fetcher | None = None,
    *,
    say: Callable[[str], None] = print,
    watch: bool = True,
) -> ASGIApp:
    """The application; when it ends, what was accepted is finished first.

    Args:
        fetcher: fetches Label Studio's images; None: its doors are shut.
        say: takes lines for who runs the server.
        watch: load models again whose files change.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        watcher = threading.Thread(target=server.models.watch, args=(stop,), name="fullconv-watch", daemon=True)
        if watch:
            watcher.start()
        yield
        stop.set()
        server.queue.stop()

    app = FastAPI(
        title="fullconv", version=version("fullconv"), description="Semantic segmentation over HTTP.",
        lifespan=life, docs_url=None, redoc_url=None, openapi_url="/openapi.json",
    )  # fmt: skip
    for door in (segment, inference, page):
        app.include_router(door.router(server))
    if fetcher is not None:
        app.include_router(label_studio_door.router(server, fetcher, say))
    app.add_exception_handler(Exception, _failed)  # which is logged by the guard
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    return _with_cors(Guard(app, allowed, server.metrics), tuple(allowed.origins))


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Outside the guard: a browser asks first without the key, and reads a refusal only with these headers."""
    if not origins:
        return app
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "X-API-Key", "Prefer", LENGTH),
        expose_headers=("Model", "Model-Version", "Retry-After", LENGTH),
    )  # fmt: skip


async def _failed(request: Request, error: Exception) -> Response:
    return failed(request.url.path)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.url.path)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, str(error.detail), dict(error.headers or {})).response(request.url.path)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])[:60]
    return Problem(422, f"{where}: {first['msg']}, found {str(first['input'])[:60]!r}").response(request.url.path)
