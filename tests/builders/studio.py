"""As much of Label Studio as a backend asks: it gives images, and access tokens for personal ones."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.builders.consumers import patches
from tests.builders.serving import png

IMAGE = patches(41, 64)


class Studio(http.server.BaseHTTPRequestHandler):
    """Gives an image, redirects, and remembers what it was asked."""

    asked: list[tuple[str, str]]
    elsewhere = ""

    def do_POST(self) -> None:
        """An access token for a personal one, as ``/api/token/refresh`` of Label Studio 1.23 has it."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append((self.path, given["refresh"]))
        content = b'{"access": "seven"}' if given == {"refresh": "a.b.c"} else b"{}"
        self.send_response(200 if b"seven" in content else 401)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers.get("Authorization", "")))
        if self.headers["Accept"] != "*/*":  # Label Studio would answer in JSON, and says so to who wants an image
            self.send_error(406)
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.elsewhere if self.path == "/to/other" else "/data/upload/a.png")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = png(IMAGE) if self.path.startswith("/data/") else bytes(300_000)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def studio_at() -> Iterator[str]:
    """The address of one."""
    Studio.asked = []
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Studio)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    thread.join()
    listening.server_close()
