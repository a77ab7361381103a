"""``fullconv serve`` in a process of its own, as people start it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def served(model: str | Path, port: int = 0, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process once it listens, and its port; killed at the end where it still runs."""
    command = [sys.executable, "-u", "-m", "fullconv", "serve", str(model), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = list[str]()
            for line in process.stdout:
                said.append(line)
                found = re.search(r"serving at http://127\.0\.0\.1:(\d+)/", line)
                if found:
                    yield process, int(found[1])
                    return
            raise AssertionError("".join(said))
        finally:
            process.kill()


def raw(port: int, request: bytes, cut: bool = False) -> tuple[int, bytes]:
    """Status and body of what is answered to these bytes; status 0 where the connection is just closed.

    Args:
        cut: nothing more is sent, and the request says that there is more.
    """
    with socket.create_connection(("127.0.0.1", port), 120) as connection:
        with suppress(ConnectionError):  # refused, before all of it was read
            connection.sendall(request)
        if cut:
            connection.shutdown(socket.SHUT_WR)
        reply = bytearray()
        with suppress(ConnectionError):
            while block := connection.recv(1 << 16):
                reply += block
    head, _, body = bytes(reply).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0, body


def bytes_of(
    method: str, target: str, body: bytes, headers: Iterable[tuple[bytes, bytes]], length: int | None = None
) -> bytes:
    """A request on a connection of its own; what ``headers`` say of its length goes before what is right."""
    given = [*headers, (b"host", b"localhost"), (b"connection", b"close")]
    if not any(name == b"content-length" for name, _ in given):
        given.append((b"content-length", str(len(body) if length is None else length).encode()))
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in given)
    return f"{method} {target} HTTP/1.1\r\n".encode() + lines + b"\r\n" + body


def resident(process: int, what: str = "VmRSS") -> int:
    """KiB that a process holds, or held at most (``VmHWM``)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))
