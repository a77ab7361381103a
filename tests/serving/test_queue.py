"""Requests of several clients: batches, the bound, deadlines, stopping."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fullconv.errors import DataError
from fullconv.segmenter import Segmenter
from fullconv.serving import queue, uploads
from fullconv.serving.asking import Server
from fullconv.serving.deadline import Deadline
from fullconv.serving.limits import Limits
from tests.builders.models import picture
from tests.builders.serving import client_of, png, server

SMALL, OTHER = picture(20, 30), picture(24, 30)


class Gate:
    """Holds the network's thread before its next batch, and remembers the batches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.begun, self.sizes = threading.Event(), threading.Event(), list[int]()
        real = queue.predict_together

        def held(segmenter: Segmenter, images: Any, names: Any, asked: Any) -> Any:
            self.begun.set()
            assert self.open.wait(60)
            self.sizes.append(len(images))
            return real(segmenter, images, names, asked)

        monkeypatch.setattr(queue, "predict_together", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.fixture
def small(file: Path, gate: Gate) -> Iterator[Server]:
    """Four places."""
    found = server([file], Limits(queue=4))
    yield found
    gate.open.set()
    found.queue.stop()


async def until(true: Any) -> None:
    for _ in range(6000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


def test_what_waits_together_goes_together(small: Server, gate: Gate, segmenter: Segmenter) -> None:
    client = client_of(small)

    async def all_at_once() -> list[Any]:
        first = asyncio.create_task(client.send("POST", "/v1/segment?as=ids", png(SMALL)))
        await until(gate.begun.is_set)
        rest = [
            asyncio.create_task(client.send("POST", "/v1/segment?as=ids", png(image)))
            for image in (SMALL, OTHER, SMALL[::-1])
        ]
        await until(lambda: len(small.queue._waiting) == 3)
        refused = await client.send("POST", "/v1/segment", png(SMALL))
        gate.open.set()
        return [await first, *[await one for one in rest], refused]

    *done, refused = asyncio.run(all_at_once())
    assert gate.sizes[0] == 1
    assert sorted(gate.sizes[1:]) == [1, 2]  # the two of one size, whatever lay between
    for reply, image in zip(done, (SMALL, SMALL, OTHER, SMALL[::-1]), strict=True):
        assert np.array_equal(reply.image(), segmenter.predict(np.ascontiguousarray(image)).labels)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert small.queue.accepted == 0


def test_without_batching_each_goes_alone(file: Path, gate: Gate) -> None:
    found = server([file], batching=False)
    client = client_of(found)
    gate.open.set()

    async def three() -> None:
        await asyncio.gather(*(client.send("POST", "/v1/segment", png(SMALL)) for _ in range(3)))

    asyncio.run(three())
    found.queue.stop()
    assert gate.sizes == [1, 1, 1]


def test_a_deadline_ends_the_wait_and_what_nobody_waits_for_is_not_computed(small: Server, gate: Gate) -> None:
    client = client_of(small)

    async def late() -> Any:
        first = asyncio.create_task(client.send("POST", "/v1/segment", png(SMALL)))
        await until(gate.begun.is_set)
        second = await client.send("POST", "/v1/segment", png(OTHER), {"prefer": "wait=0"})
        gate.open.set()
        return await first, second

    first, second = asyncio.run(late())
    assert first.status == 200
    assert second.status == 503
    assert "within 0 seconds" in second.json()["detail"]
    small.queue.stop()
    assert gate.sizes == [1]


def test_stopping_finishes_what_was_accepted(small: Server, gate: Gate) -> None:
    client = client_of(small)

    async def stopping() -> tuple[Any, Any, Any]:
        first = asyncio.create_task(client.send("POST", "/v1/segment", png(SMALL)))
        second = asyncio.create_task(client.send("POST", "/v1/segment", png(OTHER)))
        await until(lambda: gate.begun.is_set() and small.queue.accepted == 2 and len(small.queue._waiting) == 1)
        stop = threading.Thread(target=small.queue.stop)
        stop.start()
        await until(lambda: small.queue.stopping)
        ready, refused = await client.send("GET", "/readyz"), await client.send("POST", "/v1/segment", png(SMALL))
        assert (ready.status, refused.status) == (503, 503)
        gate.open.set()
        return await first, await second, stop

    first, second, stop = asyncio.run(stopping())
    stop.join(60)
    assert not stop.is_alive()
    assert (first.status, second.status) == (200, 200)


def test_a_fault_of_the_network_is_told_and_the_next_request_is_answered(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = server([file])
    client = client_of(found)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "predict_together", lambda *_: 1 / 0)
        broken = client.post("/v1/segment", png(SMALL))
    assert (broken.status, broken.headers["content-type"]) == (500, "application/problem+json")
    assert "ZeroDivisionError" not in broken.body.decode()
    assert "division by zero" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(queue, "predict_together", lambda *_: (_ for _ in ()).throw(MemoryError))
        assert client.post("/v1/segment", png(SMALL)).status == 503
    assert client.post("/v1/segment", png(SMALL)).status == 200
    found.queue.stop()


def submit(found: Server, size: tuple[int, int], finish: Any = None, **more: Any) -> Any:
    """A job that is in line already, of an image of ``size``."""
    image = np.zeros((*size, 3), np.uint8)
    finish = finish or (lambda made: made.labels.shape)
    job = queue.Job(found.models.get(), image, size, queue.Settings(), finish, Deadline.after(60), **more)
    return found.queue.submit(job)


def test_what_takes_longer_than_one_may_wait_is_refused_at_once(small: Server, gate: Gate) -> None:
    client = client_of(small)
    running = submit(small, (20, 30))
    assert gate.begun.wait(60)
    small.queue._paces["shapes"] = queue._Pace(small.models.get().version, 7 / 600)  # 7 s an image
    waiting = submit(small, (20, 30))
    reply = client.post("/v1/segment", png(SMALL), {"prefer": "wait=10"})
    assert (reply.status, reply.headers["retry-after"]) == (429, "14")
    large = submit(small, (2000, 3000))
    assert client.post("/v1/segment", png(SMALL)).headers["retry-after"] == "60"  # never "in 19 hours"
    assert large.cancel()
    gate.open.set()
    assert running.result(60) == waiting.result(60) == (20, 30)
    small.queue.stop()


def test_the_pace_is_of_a_models_pixels_without_warming_up_and_broken_files(small: Server, gate: Gate) -> None:
    gate.open.set()
    client, served = client_of(small), small.models.get()

    def known() -> float:
        return small.queue._paces[served.name].seconds

    small.queue._learn(served, 0.1)  # loads kernels
    assert known() == 0
    small.queue._learn(served, 1e-6)
    assert known() == 1e-6
    small.queue._learn(served, 2e-6)
    assert known() == pytest.approx(1.2e-6)
    assert client.post("/v1/segment", png(SMALL)[:200]).status == 422
    assert known() == pytest.approx(1.2e-6)


def test_what_nobody_waits_for_leaves_the_line(small: Server, gate: Gate) -> None:
    client = client_of(small)

    async def leave() -> list[Any]:
        first = asyncio.create_task(client.send("POST", "/v1/segment", png(SMALL)))
        await until(gate.begun.is_set)
        gone = asyncio.Event()
        left = asyncio.create_task(client.send("POST", "/v1/segment", png(OTHER), gone=gone))
        await until(lambda: small.queue._waiting)
        gone.set()
        status = (await left).status
        assert not small.queue._waiting  # while the network still works on the first
        assert small.queue.accepted == 1
        late = submit(small, (20, 30))
        assert late.cancel()  # what a deadline does
        assert not small.queue._waiting
        gate.open.set()
        return [(await first).status, status]

    assert asyncio.run(leave()) == [200, 400]


def test_every_image_of_a_tensor_has_a_place(small: Server, gate: Gate) -> None:
    gate.open.set()
    client, images = client_of(small), np.stack([SMALL] * 4)
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(images.shape), "data": images.ravel().tolist()}
    with small.queue.place(Deadline.after(60)):
        assert client.post("/v2/models/shapes/infer", {"inputs": [tensor]}).status == 429
    assert client.post("/v2/models/shapes/infer", {"inputs": [tensor]}).status == 200
    assert small.queue.accepted == 0


def test_where_one_image_of_a_tensor_fails_the_others_are_given_up(small: Server, gate: Gate) -> None:
    client, images = client_of(small), np.stack([SMALL] * 2)
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(images.shape), "data": images.ravel().tolist()}

    async def fail() -> int:
        asked = json.dumps({"inputs": [tensor]}).encode()
        both = asyncio.create_task(client.send("POST", "/v2/models/shapes/infer", asked))
        await until(lambda: len(small.queue._waiting) == 2)
        small.queue._waiting[0].future.set_exception(DataError("damaged"))
        reply = await both
        assert not [job for job in small.queue._waiting if not job.future.done()]
        return reply.status

    blocker = submit(small, OTHER.shape[:2])
    assert gate.begun.wait(60)
    assert asyncio.run(fail()) == 422
    with small.queue._changed:
        small.queue._waiting.clear()
    gate.open.set()
    blocker.result(60)


def test_polygons_do_not_hold_the_network(small: Server, gate: Gate) -> None:
    gate.open.set()
    go = threading.Event()
    slow = [submit(small, (8, 8), lambda made: go.wait(60), polygons=True) for _ in range(queue.POLYGONS + 2)]
    assert submit(small, (9, 9)).result(60) == (9, 9)
    refused = [one for one in slow if one.done()]
    assert len(refused) == 2
    assert all(one.exception().status == 503 for one in refused)
    go.set()
    assert all(one.result(60) for one in slow if one not in refused)


def test_no_answer_is_made_when_nobody_waits_any_more(small: Server, gate: Gate) -> None:
    made = list[Any]()
    gate.open.set()
    prediction = small.models.get().segmenter.predict(SMALL)
    job = queue.Job(small.models.get(), SMALL, (20, 30), queue.Settings(), made.append, Deadline.after(0))
    small.queue._finishing.acquire()
    small.queue._finish(job, prediction, small.queue._finishing)
    assert isinstance(job.future.exception(), TimeoutError)
    assert not made


def test_one_deadline_for_arriving_and_waiting(small: Server, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, real = list[Deadline](), small.queue.submit

    def submit(job: queue.Job) -> Any:
        seen.append(job.deadline)
        return real(job)

    async def body_of(request: Any, limits: Any, deadline: Deadline) -> bytes:
        seen.append(deadline)
        return png(SMALL)

    gate.open.set()
    monkeypatch.setattr(small.queue, "submit", submit)
    monkeypatch.setattr(uploads, "body_of", body_of)
    assert client_of(small).post("/v1/segment", png(SMALL), {"prefer": "wait=50"}).status == 200
    assert seen[0] == seen[1]
    assert seen[0].seconds == 50
