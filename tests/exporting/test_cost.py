"""Time and memory of one image are those of a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fullconv.errors import FullconvError
from fullconv.exporting.cost import cost
from tests.builders.models import make


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted on Linux alone")
def test_memory_is_not_that_of_the_parent(tmp_path: Path) -> None:
    make().save(tmp_path / "m.safetensors")
    held = bytearray(3 << 29)  # 1.5 GiB, touched
    held[:: 1 << 12] = b"x" * (3 << 17)
    found = cost(tmp_path / "m.safetensors", "torch")
    assert found.memory is not None
    assert 100 << 20 < found.memory < 3 << 29
    assert found.seconds > 0


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"nothing")
    with pytest.raises(FullconvError, match="torch failed on an image of 512x512"):
        cost(tmp_path / "m.safetensors", "torch")
