"""The server as a process of its own, by the command and with the limits that people have: killed, and begun again."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.consumers import patches
from tests.builders.malformed import WHOLE, requests
from tests.builders.served import bytes_of, raw, resident, served
from tests.builders.serving import png

pytestmark = pytest.mark.skipif(
    not os.environ.get("FULLCONV_PROCESS_TESTS"), reason="FULLCONV_PROCESS_TESTS=1 begins servers, half a minute"
)
CLIENTS, COUNT = 6, 2000
GROWTH = 400 << 10
"""KiB: one request's JSON of 8 MB takes up to twenty times as much while it is read."""
IMAGE = patches(300, 400)


def ask(port: int) -> tuple[int, bytes]:
    """Status and body.

    Raises:
        OSError, http.client.HTTPException: there is no answer, or not the whole of it.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/segment?as=ids", png(IMAGE))
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_killed_while_it_works_no_client_takes_half_an_answer_for_a_whole_one(file: Path) -> None:
    answers, errors, enough = list[tuple[int, bytes]](), list[Exception](), threading.Event()

    def client(port: int) -> None:
        try:
            while True:
                answers.append(ask(port))
                if len(answers) >= CLIENTS:
                    enough.set()
        except (OSError, http.client.HTTPException) as error:
            errors.append(error)

    with served(file, 0, "--precision", "fp32") as (process, port):
        clients = [threading.Thread(target=client, args=(port,)) for _ in range(CLIENTS)]
        for one in clients:
            one.start()
        assert enough.wait(60)
        process.kill()  # each client has asked, and hardly any has its answer
        for one in clients:
            one.join(60)
    assert len(errors) == CLIENTS
    assert len(answers) >= CLIENTS
    assert len(set(answers)) == 1
    with served(file, port, "--precision", "fp32") as (process, again):
        assert again == port
        assert ask(port) == answers[0]
        process.terminate()
        process.send_signal(2)
        assert process.wait(60) == 0


def large() -> Iterator[tuple[str, bytes]]:
    """Near the limits of a server that nobody changed (32 MB, 40 megapixels), and above them."""
    chance = random.Random(3)
    beginnings = [content[:200] for content in WHOLE]
    for beginning in beginnings:
        yield "rubbish", bytes_of("POST", "/v1/segment", beginning + chance.randbytes(31_000_000), ())
    yield "announced", bytes_of("POST", "/v1/segment", b"", (), 32_000_001)
    block = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    chunked = ((b"transfer-encoding", b"chunked"), (b"content-length", b"0"))
    yield "chunked", bytes_of("POST", "/v1/segment", block * 40, chunked)
    infer = "/v2/models/m/infer"
    words = json.dumps(
        {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": ["x"] * 1_500_000}]}
    )
    for text in (words.encode(), b"[" * 7_900_000, b"[0," * 2_600_000, b"[" * 31_000_000):
        yield "tensor", bytes_of("POST", infer, text, ())
    pixels = {"name": "images", "datatype": "FP32", "shape": [1, 6000, 6000, 3], "parameters": {"binary_data_size": 9}}
    head = json.dumps({"inputs": [pixels]}).encode()
    length = ((b"inference-header-content-length", str(len(head)).encode()),)
    yield "tensor", bytes_of("POST", infer, head + bytes(30_000_000), length)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_malformed_requests_at_the_limits_of_a_user(file: Path) -> None:
    statuses = Counter[tuple[str, int]]()
    with served(f"m={file}") as (process, port):
        assert ask(port)[0] == 200
        assert raw(port, bytes_of("POST", "/v1/segment", WHOLE[0], ()))[0] == 200
        before = resident(process.pid)
        for kind, bad in requests(COUNT):
            length = len(bad.body) + 100 if bad.cut else None
            request = bytes_of(bad.method, bad.target, bad.body, bad.headers, length)
            status, body = raw(port, request, bad.cut)
            statuses[kind, status] += 1
            readable = bad.readable or kind == "too_long"  # for smaller limits
            assert 400 <= status < 500 or (readable and status == 200) or not status, (kind, status, request[:300])
            assert b"Traceback" not in body
        for kind, request in large():
            status, body = raw(port, request)
            statuses[kind, status] += 1
            readable = kind == "rubbish"  # a small image may be whole before it
            assert 400 <= status < 500 or (readable and status == 200) or not status, (kind, status, body[:300])
        most, after = resident(process.pid, "VmHWM"), resident(process.pid)
        assert most - before < GROWTH, (before, most, after)
        assert ask(port)[0] == 200
        process.kill()
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()
    assert {400, 404, 405, 413, 415, 422} <= {status for _, status in statuses}
