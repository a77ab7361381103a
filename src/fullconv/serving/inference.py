"""``/v2``: the Open Inference Protocol, which KServe and Triton speak."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from fullconv.label_map import Prediction
from fullconv.parts import ids_of
from fullconv.prediction.settings import Settings
from fullconv.serving.asking import Server, while_wanted
from fullconv.serving.models import Served
from fullconv.serving.problems import Problem
from fullconv.serving.tensors import CONFIDENCE, IMAGES, LABELS, LENGTH, answer, parse
from fullconv.serving.uploads import body_of


def router(server: Server) -> APIRouter:
    """The routes of ``/v2``."""
    routes = APIRouter(prefix="/v2")
    one_by_one = ThreadPoolExecutor(1, "fullconv-tensors")  # what JSON takes while it is read, it takes once

    def of(name: str, wanted: str = "") -> Served:
        served = server.models.get(name)
        if wanted and wanted != served.version:
            raise Problem(404, f"{name} has version {served.version}, not {wanted[:40]!r}")
        return served

    @routes.get("")
    async def about() -> dict[str, Any]:
        """What this server is."""
        return {"name": "fullconv", "version": version("fullconv"), "extensions": ["binary_tensor_data"]}

    @routes.get("/health/live", include_in_schema=False)
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", include_in_schema=False)
    async def ready(response: Response) -> dict[str, bool]:
        response.status_code = 503 if server.queue.stopping else 200
        return {"ready": not server.queue.stopping}

    @routes.get("/models/{model}/versions/{number}")
    @routes.get("/models/{model}")
    async def metadata(model: str, number: str = "") -> dict[str, Any]:
        """Name, version and tensors of a model."""
        return described(of(model, number))

    @routes.get("/models/{model}/versions/{number}/ready", include_in_schema=False)
    @routes.get("/models/{model}/ready", include_in_schema=False)
    async def model_ready(model: str, response: Response, number: str = "") -> dict[str, Any]:
        response.status_code = 503 if server.queue.stopping else 200
        return {"name": of(model, number).name, "ready": not server.queue.stopping}

    @routes.post("/models/{model}/versions/{number}/infer")
    @routes.post("/models/{model}/infer")
    async def infer(request: Request, model: str, number: str = "") -> Response:
        """Ids of `images` `[n, height, width, channels]`; the output `confidence` has the probability of each."""
        served, deadline = of(model, number), server.deadline(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Problem(415, "compressed requests are not taken; send it as it is")
        beside = functools.partial(asyncio.get_running_loop().run_in_executor, one_by_one)
        with server.queue.place(deadline), ExitStack() as more:
            body = await body_of(request, server.limits, deadline)
            asked = await beside(parse, body, request.headers.get(LENGTH), server.limits)
            settings = Settings(confidence=CONFIDENCE in asked.outputs)
            size = (asked.images.shape[1], asked.images.shape[2])
            if len(asked.images) > 1:
                more.enter_context(server.queue.place(deadline, len(asked.images) - 1))
            asking = [server.ask(served, image, size, settings, lambda made: made, deadline) for image in asked.images]
            found: list[Prediction] = await while_wanted(request, _all_of(asking))
            head = {"model_name": served.name, "model_version": served.version}
            head |= {"id": asked.id} if asked.id else {}
            maps = {name: np.stack([getattr(one, name) for one in found]) for name in asked.outputs}
            content, json_length = await beside(answer, head, maps, asked.outputs)
        if json_length is None:
            return Response(content, media_type="application/json")
        return Response(content, headers={LENGTH: str(json_length)}, media_type="application/octet-stream")

    return routes


async def _all_of(asking: Iterable[Coroutine[Any, Any, Prediction]]) -> list[Prediction]:
    """All answers; where one fails the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in asking]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def described(served: Served) -> dict[str, Any]:
    """Metadata of a model; -1 is any size."""
    segmenter, preprocessing = served.segmenter, served.segmenter.preprocessing
    values = preprocessing.values
    kind = "FP32" if values is not None and values.range else "UINT8"
    ids = "UINT8" if ids_of(len(segmenter.classes)) is np.uint8 else "INT32"
    return {
        "name": served.name, "versions": [served.version], "platform": "fullconv",
        "inputs": [{"name": IMAGES, "datatype": kind, "shape": [-1, -1, -1, preprocessing.channels]}],
        "outputs": [
            {"name": LABELS, "datatype": ids, "shape": [-1, -1, -1]},
            {"name": CONFIDENCE, "datatype": "FP32", "shape": [-1, -1, -1]},
        ],
    }  # fmt: skip
