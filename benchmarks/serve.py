"""64 clients at once: answers a second, p50 and p95, memory, and what batching across clients gains.

python benchmarks/serve.py [--seconds 60] [--clients 64] [--sizes 64x64 480x360]

Each size runs twice, one after the other, batching off and on, so that the ratio is of one machine at one time.
A server in a process of its own; clients are threads with a connection each, that wait as Retry-After says on 429.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SERVER = """
import sys, fullconv
def say(line): print(line, flush=True)
fullconv.serve(sys.argv[1], port=int(sys.argv[2]), batching=sys.argv[3] == "on", say=say)
"""


def model(folder: Path) -> Path:
    """FCN-8s on MobileNetV2, eleven classes, untrained: its labels do not matter here."""
    from fullconv.models import build_model
    from fullconv.segmenter import Segmenter
    from fullconv.spec import ClassSet, Preprocessing

    names = tuple(f"class {number}" for number in range(11))
    path = folder / "bench.safetensors"
    Segmenter(build_model("fcn8s", 11, "mobilenetv2_100"), ClassSet(names), Preprocessing()).save(path)
    return path


def memory(process: int) -> float:
    """MB that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


def client(port: int, body: bytes, until: float, seconds: list[float], statuses: Counter[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while time.monotonic() < until:
        start = time.monotonic()
        connection.request("POST", "/v1/segment?as=ids", body)
        reply = connection.getresponse()
        reply.read()
        statuses[reply.status] += 1
        if reply.status == 200:
            seconds.append(time.monotonic() - start)
        elif reply.status == 429:
            time.sleep(min(float(reply.headers["Retry-After"]), max(0.0, until - time.monotonic())))
    connection.close()


def jpeg(size: tuple[int, int]) -> bytes:
    """A smooth image of ``(height, width)``."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size[::-1]).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def measure(path: Path, size: tuple[int, int], batching: str, clients: int, length: float) -> dict[str, Any]:
    body = jpeg(size)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(path), str(port), batching]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        while "serving at" not in server.stdout.readline():
            assert server.poll() is None
        client(port, body, time.monotonic() + 3, [], Counter())  # what is made once
        seconds, statuses, start = list[float](), Counter[int](), time.monotonic()
        before = memory(server.pid)
        given = (port, body, start + length, seconds, statuses)
        threads = [threading.Thread(target=client, args=given) for _ in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(length / 2)
        half = memory(server.pid)
        for thread in threads:
            thread.join()
        took, after = time.monotonic() - start, memory(server.pid)
        server.terminate()
        code = server.wait(60)
    cuts = statistics.quantiles(seconds, n=20) if len(seconds) > 1 else [float("nan")] * 19
    return {
        "size": f"{size[1]}x{size[0]}", "batching": batching, "answers_a_second": len(seconds) / took,
        "p50_seconds": statistics.median(seconds), "p95_seconds": cuts[18], "statuses": dict(statuses),
        "megabytes": {"before": before, "half": half, "after": after}, "exit_code": code,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--sizes", nargs="+", default=["64x64", "128x128", "256x256", "480x360"], help="width x height")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = model(Path(folder))
        for text in asked.sizes:
            width, height = map(int, text.split("x"))
            found = {b: measure(path, (height, width), b, asked.clients, asked.seconds) for b in ("off", "on")}
            for one in found.values():
                print(json.dumps(one), flush=True)
            gain = found["on"]["answers_a_second"] / found["off"]["answers_a_second"]
            print(f"{text}: batching answers {gain:.2f} times as many", flush=True)


if __name__ == "__main__":
    main()
