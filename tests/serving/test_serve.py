"""The command itself: what it refuses, and a real server that is stopped while it works."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import signal
import socket
import threading
from pathlib import Path

import pytest

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.serving import queue, serve
from fullconv.serving.guard import Allowed
from tests.builders.commands import complaint
from tests.builders.models import picture
from tests.builders.serving import application, client_of, png, server


def test_what_cannot_be_served_is_refused_in_one_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        assert run(["serve", str(file), "--port", taken]) == 2
        assert f"--port {taken}: cannot listen there" in complaint(capsys)
    assert run(["serve", "--port", "0"]) == 2
    assert "no model given" in complaint(capsys)
    assert run(["serve", "nowhere.safetensors", "--port", "0"]) == 2
    assert "no such model" in complaint(capsys)
    (tmp_path / "foreign.safetensors").write_bytes(b"8" * 100)
    assert run(["serve", str(tmp_path / "foreign.safetensors"), "--port", "0"]) == 2
    assert "not a readable safetensors file" in complaint(capsys)
    assert run(["serve", str(file), "--port", "99999"]) == 2
    assert "0 (any free one) to 65535, found 99999" in complaint(capsys)
    assert run(["serve", str(file), "--port", "0", "--queue", "0"]) == 2
    assert "--queue" in complaint(capsys)
    assert run(["serve", str(file), "--port", "0", "--cors", "example.org"]) == 2
    assert "https://example.org" in complaint(capsys)
    (tmp_path / "empty").touch()
    assert run(["serve", str(file), "--port", "0", "--api-key-file", str(tmp_path / "empty")]) == 2
    assert "long random word" in complaint(capsys)
    (tmp_path / "foreign").write_text("schlüssel", encoding="utf-8")
    assert run(["serve", str(file), "--port", "0", "--api-key-file", str(tmp_path / "foreign")]) == 2
    assert "ASCII" in complaint(capsys)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(UsageError, match=r"pip install 'fullconv\[serve\]'"):
        fullconv.serve("any.safetensors")


def test_a_server_that_is_stopped_answers_what_it_accepted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, real = threading.Event(), threading.Event(), queue.predict_together

    def held(*given: object) -> object:
        begun.set()
        assert go.wait(60)
        return real(*given)

    monkeypatch.setattr(queue, "predict_together", held)
    found = server([file])
    bound = serve.listening("127.0.0.1", 0)
    listening = serve.uvicorn_server(application(found, Allowed()))
    thread = threading.Thread(target=serve.run, args=(listening, bound))
    thread.start()
    host, port = bound.getsockname()
    assert serve.address(bound) == f"http://127.0.0.1:{port}/"
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("POST", "/v1/segment", png(picture(9, 12)))
    assert begun.wait(60)
    listening.should_exit = True
    go.set()
    reply = connection.getresponse()
    assert reply.status == 200
    assert json.loads(reply.read())["width"] == 12
    connection.close()
    thread.join(60)
    assert not thread.is_alive()
    bound.close()
    assert found.queue.stopping


def test_after_sigterm_it_is_not_ready_but_still_answers(file: Path) -> None:
    found = server([file])
    client = client_of(found)
    listening = serve.uvicorn_server(client.app, found.queue.close)

    async def leaves() -> bool:
        return bool(await listening.on_tick(1))

    assert client.get("/readyz").status == 200
    listening.handle_exit(signal.SIGTERM, None)
    assert [client.get(path).status for path in ("/healthz", "/readyz", "/v2/health/ready")] == [200, 503, 503]
    refused = client.post("/v1/segment", png(picture(9, 12)))
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    listening.leaves = math.inf
    assert not asyncio.run(leaves())
    listening.leaves = 0.0
    assert asyncio.run(leaves())
    found.queue.stop()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_ctrl_c_and_a_second_signal_do_not_linger(signals: list[signal.Signals]) -> None:
    closed = list[bool]()
    listening = serve.uvicorn_server(None, lambda: closed.append(True))
    for number in signals:
        assert not listening.should_exit
        listening.handle_exit(number, None)
    assert listening.should_exit
    assert len(closed) == len(signals)
