"""``--label-studio``: a machine learning backend for Label Studio.

Format: label-studio-ml-backend's ``api.py``, and Label Studio 1.23's ``ml/models.py`` for what is made of the answers.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from fullconv.errors import first_few
from fullconv.prediction.settings import Settings
from fullconv.serving.asking import Server, while_wanted
from fullconv.serving.deadline import Deadline
from fullconv.serving.fetching import Fetcher
from fullconv.serving.label_studio import Interface, result_of
from fullconv.serving.models import Served
from fullconv.serving.problems import Problem
from fullconv.serving.tensors import JSON_BYTES
from fullconv.serving.uploads import body_of, size_of

EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")
LATER = (408, 429, 503)
"""Statuses after which asking for the next task is no use."""


def router(server: Server, fetcher: Fetcher, say: Callable[[str], None]) -> APIRouter:
    """The routes that Label Studio calls.

    Args:
        say: takes lines for who runs the server: Label Studio shows nobody what it is answered.
    """
    routes, said = APIRouter(), set[str]()

    def say_once(*notes: str) -> None:
        for note in set(notes) - said:
            said.add(note)
            say(f"label-studio: {note}")

    @contextmanager
    def refusals_said() -> Iterator[None]:
        try:
            yield
        except Problem as problem:
            say(f"label-studio: {problem.detail}")
            raise

    def interface_of(text: Any, served: Served) -> Interface:
        if not isinstance(text, str) or not text:
            raise Problem(400, "no labelling configuration; set up the labelling interface of the project first")
        interface = Interface.of(text, served.segmenter.classes)
        say_once(*interface.notes)
        return interface

    @routes.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "fullconv"}

    @routes.post("/setup")
    async def setup(request: Request) -> dict[str, Any]:
        """A project is connected: its labelling configuration is checked."""
        with refusals_said():
            given, served = await _json(request, server), server.models.get()
            interface = interface_of(given.get("schema"), served)
            say_once(*_keep_token(given, fetcher))
        return {"model_version": _version(served), "notes": interface.notes}

    @routes.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        """Regions for the images of some tasks; an empty list for a task that has none (which is said)."""
        deadline = server.deadline(request)
        with refusals_said(), server.queue.place(deadline):
            given, served = await _json(request, server, deadline), server.models.get()
            interface = interface_of(given.get("label_config"), served)
            tasks = given.get("tasks")
            if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
                raise Problem(400, "tasks is a list of tasks")
            one = functools.partial(_predicted, server, fetcher, served, interface, deadline)
            results, faults = await while_wanted(request, _all_of(tasks, one))
            if faults:
                say(f"label-studio: {len(faults)} of {len(tasks)} tasks without a prediction: {first_few(faults)}")
        return {"results": [found and {**found, "model_version": _version(served)} for found in results]}

    @routes.post("/webhook")
    async def webhook(request: Request, response: Response) -> dict[str, str]:
        """Nothing is learned here; fullconv train does that."""
        known = (await _json(request, server)).get("action") in EVENTS
        response.status_code = 201 if known else 200
        return {"status": "noted; fullconv train teaches a model" if known else "unknown event"}

    return routes


async def _predicted(
    server: Server, fetcher: Fetcher, served: Served, interface: Interface, deadline: Deadline, task: dict[str, Any]
) -> dict[str, Any]:
    """The regions of one task's image.

    Raises:
        Problem: there are none.
    """
    if not deadline.left:
        raise Problem(503, "no time is left")
    data = task.get("data")
    address = data.get(interface.key) if isinstance(data, dict) else None
    if not isinstance(address, str):
        raise Problem(400, f"data has no {interface.key}")
    content = await asyncio.to_thread(fetcher.get, address, deadline.at)
    size = await asyncio.to_thread(size_of, content, server.limits)
    made, sure = functools.partial(result_of, interface=interface), Settings(confidence=True)
    polygons = interface.kind == "polygonlabels"
    found: dict[str, Any] = await server.ask(served, content, size, sure, made, deadline, polygons)
    return found


async def _all_of(
    tasks: list[dict[str, Any]], one: Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
) -> tuple[list[Any], list[str]]:
    """What ``one`` makes of each task, an empty list where it makes nothing; and why, a line for each.

    Label Studio sends all tasks that are chosen in one request. One broken image shall not take the others with it,
    and where time ends those that are done count: Label Studio asks again only for tasks without a prediction.

    Raises:
        Problem: the first one, where there is nothing at all.
    """
    results, faults, first = list[Any](), list[str](), None
    for done, task in enumerate(tasks):
        try:
            results.append(await one(task))
        except Problem as problem:
            first = first or problem
            if problem.status in LATER:
                results.extend([] for _ in tasks[done:])
                faults.extend("no time was left, retrieve predictions again" for _ in tasks[done:])
                break
            results.append([])
            faults.append(f"{str(task.get('id'))[:40]} ({problem.detail})")
    if first is not None and len(faults) == len(tasks):
        raise first
    return results, faults


def _version(served: Served) -> str:
    return f"{served.name}-{served.version}"


def _keep_token(given: dict[str, Any], fetcher: Fetcher) -> list[str]:
    """Keep Label Studio's own token, and say if it calls itself by a name that the command line has not.

    That is the case of any that was not told its address, and calls itself ``http://localhost``. The token is shown
    to none but the hosts that were named.
    """
    host, token = given.get("hostname"), given.get("access_token")
    if not (isinstance(host, str) and isinstance(token, str) and token.isascii() and token.isprintable() and host):
        return []
    try:
        origin, notes = fetcher.allowed(host)[1], []
    except Problem:
        origin = fetcher.origins[0]
        notes = [f"it calls itself {host[:200]}; images are fetched from {fetcher.first} all the same"]
    fetcher.tokens.keep(origin, token[:500])
    return notes


async def _json(request: Request, server: Server, deadline: Deadline | None = None) -> dict[str, Any]:
    try:
        body = await body_of(request, server.limits, deadline or server.deadline(request))
        if len(body) > JSON_BYTES:
            raise Problem(413, f"more than {JSON_BYTES / 1e6:g} MB of JSON; ask for fewer tasks at once")
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the request is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise Problem(400, "the request is no JSON object")
    return found
