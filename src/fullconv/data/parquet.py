"""Images and masks in the cells of parquet files: structs ``{bytes, path}`` of encoded images."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from fullconv.data.decode import image_size, read_image, read_labels
from fullconv.data.spec import MaskEncoding, UInt8Array
from fullconv.errors import DataError, UsageError


class EncodedFile(io.BytesIO):
    """The bytes of an image file, for the readers of ``decode``: they need its content and its name in messages."""

    suffix = ""

    def __init__(self, content: bytes, where: str) -> None:
        super().__init__(content)
        self.where = where

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True)
class Cell:
    """One encoded image: file, row group, row in the group, column."""

    path: Path
    group: int
    row: int
    column: str

    def file(self) -> Path:
        """Its bytes, in the place of a path.

        Raises:
            DataError: a damaged shard, or a cell without bytes.
        """
        where = f"{self.path} row group {self.group} row {self.row} {self.column}"
        content = _group(self.path, self.group, self.column)[self.row].as_py()
        if not content or not content.get("bytes"):
            raise DataError(f"{where}: holds no bytes; save the data set again with the image files embedded")
        return cast(Path, EncodedFile(content["bytes"], where))


@dataclass(frozen=True)
class ParquetImage:
    """An image in a shard."""

    cell: Cell

    def read(self, channels: int) -> UInt8Array:
        """uint8 ``[height, width, channels]``."""
        return read_image(self.cell.file(), channels)

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return image_size(self.cell.file())


@dataclass(frozen=True)
class ParquetLabels:
    """A mask in a shard."""

    cell: Cell
    encoding: MaskEncoding

    def read(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """uint8 ``[height, width]``, or int32 when ``ignore_index`` needs it."""
        return read_labels(self.cell.file(), self.encoding, num_classes, ignore_index)


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
            f"{path}: not a whole parquet file ({reason}); fetch it again (with git lfs, if it has 3 lines)"
        ) from error


@lru_cache(maxsize=4)
def _group(path: Path, group: int, column: str) -> Any:
    """One column of one row group, ``{bytes}`` per row; the last four stay in memory, the file does not stay open."""
    with open_parquet(path) as file:
        try:
            return file.read_row_group(group, columns=[f"{column}.bytes"], use_threads=False).column(0)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}: row group {group} cannot be read ({reason}); fetch it again") from error
