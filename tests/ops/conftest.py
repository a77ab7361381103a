from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["strips", "cpu", "triton"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every backend but the reference, which the tests compare with."""
    if request.param == "triton":
        pytest.importorskip("triton")
    monkeypatch.setenv("FULLCONV_OPS", request.param)
    return request.param


@pytest.fixture
def device(backend: str) -> torch.device:
    return torch.device("cuda" if backend == "triton" and torch.cuda.is_available() else "cpu")
