"""``fullconv serve``: models over HTTP, until the process is told to stop."""

from __future__ import annotations

import ipaddress
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fullconv.errors import UsageError, plural
from fullconv.libraries import library

if TYPE_CHECKING:
    import uvicorn

KEY = "FULLCONV_API_KEY"
FOR = "serve"
LINGER = 5.0
"""Seconds after SIGTERM in which ``/readyz`` and every new request are answered with 503."""


def serve(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    api_key_file: str | os.PathLike[str] | None = None,
    cors: Sequence[str] = (),
    label_studio: Sequence[str] = (),
    megabytes: float = 32,
    megapixels: float = 40,
    queue: int = 64,
    timeout: float = 60,
    batching: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Answer requests for one model or several until SIGINT or SIGTERM, then finish what was accepted.

    Args:
        models: files, run folders or ``torchvision/NAME``, or ``NAME=`` one of them, which says what clients call it.
        host, port: where to listen: by default this machine alone can ask; port 0 is any free one.
        device, precision, runner: as for :func:`fullconv.load`.
        api_key_file: a file that holds what clients have to know; else the environment variable ``FULLCONV_API_KEY``.
        cors: other sites whose pages may ask, ``https://example.org``, or under which a proxy shows this server.
        label_studio: be a backend of the Label Studio at these addresses, ``http://localhost:8080``, from which alone
            images are fetched.
        megabytes, megapixels, queue, timeout: as :class:`fullconv.serving.limits.Limits` has them.
        batching: put images of one size that wait together through the network together.
        say: takes lines for who runs it.

    Raises:
        UsageError: a model that cannot be loaded, a port in use, a limit that cannot be, a package that is missing.
    """
    for package in ("fastapi", "uvicorn", "prometheus_client", "python_multipart"):
        library(package, FOR)
    from fullconv.pretrained import load
    from fullconv.serving.app import application
    from fullconv.serving.asking import Server
    from fullconv.serving.fetching import Fetcher
    from fullconv.serving.guard import Allowed
    from fullconv.serving.limits import Limits
    from fullconv.serving.metrics import Metrics
    from fullconv.serving.models import Models
    from fullconv.serving.queue import Queue

    limits, key, metrics = Limits(megabytes, megapixels, queue, timeout), _key(api_key_file), Metrics()
    for origin in cors:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise UsageError(f"--cors {origin}: give a site as https://example.org, without a path")
    fetcher = Fetcher(label_studio, limits) if label_studio else None
    given = [models] if isinstance(models, (str, os.PathLike)) else models
    with listening(host, port) as bound:
        loaded = Models(
            [os.fspath(one) for one in given], lambda file: load(file, device, precision, runner), metrics, say
        )
        own = ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback
        allowed = Allowed.of(key, cors, host, own)
        server = Server(loaded, Queue(limits.queue, metrics, batching), limits, metrics)
        for name in loaded.names:
            served = loaded.get(name)
            classes = f"{plural(len(served.segmenter.classes), 'class')}, {served.segmenter.runner}"
            say(f"{name}: version {served.version}, {classes}")
        say(f"serving at {address(bound)} (stop with Ctrl-C){_warning(own, key)}")
        run(uvicorn_server(application(server, allowed, fetcher, say=say), server.queue.close), bound)


def _key(file: str | os.PathLike[str] | None) -> str:
    if file is None:
        where, key = KEY, os.environ.get(KEY, "").strip()
    else:
        where = f"--api-key-file {file}"
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise UsageError(f"{where}: cannot be read ({error})") from error
        if not key:
            raise UsageError(f"{where}: empty; write a long random word into it")
    if not (key.isascii() and key.isprintable()):  # a header holds no other letters that all clients send alike
        raise UsageError(f"{where}: holds more than letters, digits and signs of ASCII in one line; choose another")
    return key


def _warning(own: bool, key: str) -> str:
    return "" if own or key else f"; whoever reaches this machine may ask: --api-key-file or {KEY} sets a key"


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound before anything is loaded.

    Raises:
        UsageError: the port is in use, or the address is not this machine's.
    """
    if not 0 <= port < 1 << 16:  # larger ones are taken for others without a word
        raise UsageError(f"--port is 0 (any free one) to 65535, found {port}")
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(where)
            found.listen(2048)
        except BaseException:
            found.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--host {host} --port {port}: cannot listen there ({why}); choose another port") from error
    return found


def address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def uvicorn_server(app: Any, close: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """One that says nothing of requests, and waits for those that it accepted when it stops.

    Args:
        close: called as soon as it shall stop. After SIGTERM it still listens for :data:`LINGER` seconds, so that who
            sends it requests sees that it is not ready, and sends them elsewhere.
    """
    library("uvicorn", FOR)
    import uvicorn

    class Server(uvicorn.Server):
        leaves = math.inf

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            close()
            if sig == signal.SIGTERM and self.leaves == math.inf:
                self.leaves = time.monotonic() + LINGER
            else:
                super().handle_exit(sig, frame)

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or time.monotonic() >= self.leaves

    config = uvicorn.Config(app, lifespan="on", log_level="warning", access_log=False, server_header=False, ws="none")
    return Server(config)


def run(server: uvicorn.Server, bound: socket.socket) -> None:
    """Until a signal; uvicorn sends it again when all is finished, which then ends nothing."""
    main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        server.run(sockets=[bound])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
