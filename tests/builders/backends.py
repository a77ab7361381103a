"""A backend of the numeric kernels, chosen for a test."""

from __future__ import annotations

import pytest
import torch


def choose(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a backend run, in the way that the name says, and return its own name."""
    backend, _, way = name.partition(" by ")
    if backend == "triton":
        run = pytest.importorskip("fullconv.ops.triton.run", exc_type=ImportError)
        monkeypatch.setattr(run, "worthwhile", lambda *_: way == "pieces")
    monkeypatch.setenv("FULLCONV_OPS", backend)
    return backend


def device_of(backend: str) -> torch.device:
    """Triton runs on a GPU where there is one, else in its interpreter."""
    return torch.device("cuda" if backend == "triton" and torch.cuda.is_available() else "cpu")


BACKENDS = ["strips", "cpu", "triton", "triton by pieces"]
"""All but the reference, in every way that they take a loss's gradient."""
