"""Two thousand malformed requests: each is refused, none ends in a traceback, memory stays bounded."""

from __future__ import annotations

import asyncio
import mmap
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from fullconv.serving.limits import Limits
from tests.builders.malformed import WHOLE, requests
from tests.builders.serving import client_of, server

COUNT = 2000
RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def peak(reset: bool = False) -> int:
    """KiB that this process held at most, since a ``reset``: without it an earlier test's would hide what comes.

    Raises:
        OSError: this system cannot say or reset it.
    """
    if reset:
        RESET.write_text("5")
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))


def held(size: int) -> None:
    """For a moment, of fresh pages: what others freed may be kept for the next who asks."""
    with mmap.mmap(-1, size) as pages:
        for first in range(0, size, mmap.PAGESIZE):
            pages[first] = 1


def test_the_peak_is_that_since_it_was_reset() -> None:
    held(300 << 20)
    try:
        before = peak(reset=True)
    except OSError:
        pytest.skip("only some Linux resets the most memory that was held")
    held(100 << 20)
    assert 90 << 10 < peak() - before < 200 << 10


def test_each_is_refused_and_none_ends_in_a_traceback(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "m.safetensors").write_bytes(file.read_bytes())
    found = server([tmp_path / "m.safetensors"], Limits(megabytes=0.1, megapixels=1))
    client = client_of(found)
    statuses = Counter[tuple[str, int]]()

    async def all_of_them() -> None:
        await client.send("POST", "/v1/segment", WHOLE[0])  # what is made once does not count
        before = None
        with suppress(OSError):  # elsewhere than on Linux
            before = peak(reset=True)
        for kind, bad in requests(COUNT):
            reply = await client.send(bad.method, bad.target, bad.body, bad.headers, bad.cut)
            statuses[kind, reply.status] += 1
            fine = 400 <= reply.status < 500 or (bad.readable and reply.status == 200)
            assert fine, (kind, reply.status, bad, reply.body[:300])
            assert b"Traceback" not in reply.body
            assert len(reply.body) < 2000 or reply.status == 200
        if before is not None:
            assert peak() - before < 128 << 10, f"{before} KiB, then {peak()}"

    asyncio.run(all_of_them())
    assert sum(statuses.values()) == COUNT
    assert {413, 415, 422, 400, 404, 405} <= {status for _, status in statuses}
    ours = [record for record in caplog.records if record.name.startswith("fullconv")]
    assert not ours, caplog.text  # tifffile and the parser of forms say what they found
    assert found.queue.accepted == 0
    assert client.post("/v1/segment", WHOLE[0]).status == 200
    found.queue.stop()
