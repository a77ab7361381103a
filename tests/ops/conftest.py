from __future__ import annotations

import pytest
import torch

from tests.builders.backends import choose, device_of


@pytest.fixture(params=["strips", "cpu", "triton"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every backend but the reference, which the tests compare with."""
    return choose(request.param, monkeypatch)


@pytest.fixture
def device(backend: str) -> torch.device:
    return device_of(backend)
