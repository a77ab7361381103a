"""Which backend computes."""

from __future__ import annotations

import pytest
import torch
import torch.utils.checkpoint

from fullconv.ops import (
    upsample_cross_entropy,
)


def test_an_unknown_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_OPS", "fast")
    with pytest.raises(ValueError, match="reference, strips, cpu, triton, found 'fast'"):
        upsample_cross_entropy(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3).long())
