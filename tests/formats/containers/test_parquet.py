"""Cells of parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from fullconv.errors import DataError
from fullconv.formats.containers.parquet import Cell


def test_a_parquet_group_that_unpacks_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [{"bytes": bytes(1 << 22), "path": "a"} for _ in range(4)]
    table = pyarrow.table({"image": pyarrow.array(cells)})
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet", compression="zstd", use_dictionary=False)
    assert Cell(tmp_path / "p.parquet", 0, 0, "image").file()
    monkeypatch.setattr("fullconv.formats.containers.parquet.LARGE", 1 << 20)
    (tmp_path / "p.parquet").rename(tmp_path / "q.parquet")
    with pytest.raises(DataError, match=r"image: .* would become"):
        Cell(tmp_path / "q.parquet", 0, 0, "image").file()
