"""Images and masks in the cells of parquet files: structs ``{bytes, path}`` of encoded images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fullconv.errors import DataError, UsageError
from fullconv.formats.archive import LARGE, refuse_bomb
from fullconv.images.encoded import EncodedFile


@dataclass(frozen=True)
class Cell:
    """One encoded image: file, row group, row in the group, column."""

    path: Path
    group: int
    row: int
    column: str

    @property
    def where(self) -> str:
        return f"{self.path} row group {self.group} row {self.row} {self.column}"

    @property
    def container(self) -> Path:
        return self.path

    def file(self) -> EncodedFile:
        """Its bytes.

        Raises:
            DataError: a damaged shard, or a cell without bytes.
        """
        content = _group(self.path, self.group, self.column)[self.row].as_py()
        if not content or not content.get("bytes"):
            raise DataError(
                f"{self.where}: holds no bytes, only the path of a file; write the parquet files again with the images "
                "in them (datasets: .with_format('arrow').map(datasets.table.embed_table_storage, batched=True))"
            )
        return EncodedFile(content["bytes"], self.where)


def open_parquet(path: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile``.

    Raises:
        UsageError: pyarrow is missing.
        DataError: not a parquet file, or cut short.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            f"{path}: parquet files are read by pyarrow, which is missing; pip install 'fullconv[parquet]'"
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a complete parquet file ({reason}); fetch it again (with git lfs, if it has 3 lines)"
        ) from error


@lru_cache(maxsize=4)
def _group(path: Path, group: int, column: str) -> Any:
    """One column of one row group, ``{bytes}`` per row; the last four stay in memory, the file does not stay open."""
    with open_parquet(path) as file:
        _refuse_bomb(path, file.metadata.row_group(group), column)
        try:
            return file.read_row_group(group, columns=[f"{column}.bytes"], use_threads=False).column(0)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}: row group {group} cannot be read ({reason}); fetch it again") from error


def _refuse_bomb(path: Path, group: Any, column: str) -> None:
    chunks = [group.column(index) for index in range(group.num_columns)]
    own = [chunk for chunk in chunks if chunk.path_in_schema == f"{column}.bytes"]
    packed, unpacked = (
        sum(getattr(chunk, f"total_{kind}_size") for chunk in own) for kind in ("compressed", "uncompressed")
    )
    refuse_bomb(f"{path}: {column}", packed, unpacked, LARGE)
