"""The page at ``/``, and the one at ``/docs``: a few files of ours that load nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Response

from fullconv.serving.asking import Server

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"), "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"), "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}  # fmt: skip
"""All that there is; no path of a client's becomes one of ours."""


def router(server: Server) -> APIRouter:
    """The routes of the pages."""
    routes = APIRouter()
    for path, (name, media_type) in FILES.items():
        content = files("fullconv.serving").joinpath("static", name).read_bytes()
        routes.add_api_route(path, _giving(content, media_type), methods=["GET", "HEAD"], include_in_schema=False)
    return routes


def _giving(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return give
