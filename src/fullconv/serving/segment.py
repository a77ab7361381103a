"""``/v1``: an image in, what a model says of it out."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from fullconv.facts import facts
from fullconv.palette import Colour, distinct_palette
from fullconv.serving.answers import ANSWERS, Options, choose, settings_of
from fullconv.serving.asking import Server, while_wanted
from fullconv.serving.metrics import MEDIA_TYPE
from fullconv.serving.models import Served
from fullconv.serving.uploads import image_of

BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
        },
    },
}
REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        400: "No image, or a broken request", 401: "The API key is missing or wrong", 404: "No such model",
        406: "No such answer", 413: "Too many bytes or pixels", 415: "Another format", 422: "A damaged image",
        429: "Too many requests; Retry-After says when to ask again", 503: "Out of time, or the server is stopping",
    }.items()
}  # fmt: skip


def router(server: Server) -> APIRouter:
    """The routes of ``/v1`` and what watches a server."""
    routes = APIRouter()
    given: dict[int | str, dict[str, Any]] = {
        200: {"content": {answer.media_type: {} for answer in ANSWERS.values()}, "description": "As Accept asks"}
    }

    @routes.post("/v1/segment", responses={**given, **REFUSED}, openapi_extra={"requestBody": BODY})
    async def segment(request: Request, options: Annotated[Options, Query()]) -> Response:
        """Label every pixel of an image: PNG, JPEG, WebP, TIFF or BMP, as the body or as the file of a form.

        `Accept` says what comes back: `application/json` (areas and confidence), `image/png` (ids in the classes'
        colours; `image/png; as=ids`, `as=overlay` or `as=confidence` are others), `application/geo+json` or
        `application/vnd.coco+json` (polygons, in pixels). `?as=` names one too. `Prefer: wait=5` is how long a client
        waits.
        """
        kind = choose(request.headers.get("accept", ""), options.kind)
        answer, served, deadline = ANSWERS[kind], server.models.get(options.model), server.deadline(request)
        with server.queue.place(deadline):
            image, size = await image_of(request, server.limits, deadline)
            asking = server.ask(
                served, image, size, settings_of(answer), lambda found: answer.make(found, served, options), deadline,
                answer.polygons,
            )  # fmt: skip
            body = await while_wanted(request, asking)
        headers = {"Model": quote(served.name), "Model-Version": served.version}
        return Response(body, media_type=answer.media_type, headers={**headers, "Vary": "Accept"})

    @routes.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What can be asked: names, versions, classes with their colours."""
        return {
            "models": [said(server.models.get(name), server.models.faults.get(name)) for name in server.models.names]
        }

    @routes.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def readyz(response: Response) -> dict[str, str]:
        response.status_code = 503 if server.queue.stopping else 200
        return {"status": "stopping" if server.queue.stopping else "ready"}

    @routes.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(server.metrics.text(), media_type=MEDIA_TYPE)

    return routes


def said(served: Served, fault: str | None) -> dict[str, Any]:
    """A model as ``/v1/models`` lists it."""
    segmenter, names = served.segmenter, served.segmenter.classes.names
    colours = zip(names, segmenter.classes.palette, distinct_palette(names), strict=True)
    classes = [
        {"id": index, "name": name, "colour": _hex(colour), "distinct": _hex(other)}
        for index, (name, colour, other) in enumerate(colours)
    ]
    return {
        "name": served.name, "version": served.version, "classes": classes,
        "background": segmenter.classes.background, "facts": facts(segmenter.header(), segmenter.runner),
        "cannot_reload": fault,
    }  # fmt: skip


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
