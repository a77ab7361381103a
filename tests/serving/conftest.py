"""One tiny model for all tests of a file, and a server of it that is stopped at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fullconv.segmenter import Segmenter
from fullconv.serving.asking import Server
from tests.builders.serving import Client, client_of, segmenter_of, server


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.builders.models import make

    path = tmp_path_factory.mktemp("models") / "shapes.safetensors"
    make(encoder="resnet10t", name="fcn16s").save(path)
    return path


@pytest.fixture(scope="module")
def segmenter(file: Path) -> Segmenter:
    return segmenter_of(file)


@pytest.fixture(scope="module")
def running(file: Path) -> Iterator[Server]:
    found = server([file])
    yield found
    found.queue.stop()


@pytest.fixture(scope="module")
def client(running: Server) -> Client:
    return client_of(running)
