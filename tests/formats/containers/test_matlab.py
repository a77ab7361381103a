"""MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from fullconv.errors import DataError
from fullconv.formats.containers.matlab import read_mat
from tests.builders.bombs import little_memory


def test_a_matlab_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "m.mat", {"a": np.zeros(20 << 20, np.uint8)}, do_compression=True)
    assert (tmp_path / "m.mat").stat().st_size < 100_000
    with little_memory(32 << 20), pytest.raises(DataError, match="would become"):
        read_mat(tmp_path / "m.mat", "a", most=10 << 20)
    assert read_mat(tmp_path / "m.mat", "a", most=40 << 20).size == 20 << 20
    (tmp_path / "m.mat").write_bytes((tmp_path / "m.mat").read_bytes()[:5000])
    with pytest.raises(DataError, match="damaged"):
        read_mat(tmp_path / "m.mat", "a", most=10 << 20)
