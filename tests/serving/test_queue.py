"""Requests of several clients: batches, the bound, deadlines, stopping."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fullconv.segmenter import Segmenter
from fullconv.serving import queue
from fullconv.serving.asking import Server
from fullconv.serving.limits import Limits
from tests.builders.models import picture
from tests.builders.serving import Client, client_of, png, server

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


def test_what_takes_longer_than_one_may_wait_is_refused_at_once(small: Server, gate: Gate) -> None:
    gate.open.set()
    small.queue.seconds = 7.0
    with small.queue.place(60), small.queue.place(60):
        reply = Client(client_of(small).app).post("/v1/segment", png(SMALL), {"prefer": "wait=10"})
        assert (reply.status, reply.headers["retry-after"]) == (429, "14")
        small.queue.seconds = 0.0
        assert client_of(small).post("/v1/segment", png(SMALL)).status == 200
