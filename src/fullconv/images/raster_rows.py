"""Readers around readers: rows kept that would be decoded again, rasters turned upright."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fullconv.images.orientation import SWAPS, upright, upright_size
from fullconv.images.raster import Block, RasterReader

MOST_HELD = 1 << 29
"""Bytes of rows that are kept at most."""


class HeldRows:
    """A raster that is stored in whole rows, read from the top: keeps the rows that following windows may read.

    A window that starts above the last one makes it start over. Rows that would take more than ``most`` bytes are not
    kept, but decoded for each window.
    """

    def __init__(self, reader: RasterReader, most: int = MOST_HELD) -> None:
        self.info = reader.info
        self._reader, self._most = reader, most
        self._top = 0
        self._held: Block | None = None

    def read(self, rows: slice, columns: slice) -> Block:
        """As :meth:`RasterReader.read`."""
        width, samples = self.info.size[1], self.info.samples
        if (rows.stop - rows.start) * width * (samples * np.dtype(self.info.dtype).itemsize + 1) > self._most:
            return self._reader.read(rows, columns)
        if self._held is None or rows.start < self._top or rows.start > self._bottom:
            self._top, self._held = rows.start, None
        if rows.stop > self._bottom:
            more = self._reader.read(slice(self._bottom, rows.stop), slice(0, width))
            kept = slice(rows.start - self._top, None)
            array = more.array if self._held is None else np.concatenate((self._held.array[kept], more.array))
            valid = more.valid
            if self._held is not None and valid is not None and self._held.valid is not None:
                valid = np.concatenate((self._held.valid[kept], valid))
            self._top, self._held = rows.start, Block(array, valid)
        assert self._held is not None
        place = slice(rows.start - self._top, rows.stop - self._top), columns
        return Block(self._held.array[place], None if self._held.valid is None else self._held.valid[place])

    def close(self) -> None:
        """Let go of the file."""
        self._held = None
        self._reader.close()

    @property
    def _bottom(self) -> int:
        return self._top + (0 if self._held is None else len(self._held.array))


class Turned:
    """A raster as EXIF's ``orientation`` (2 to 8) says that it is to be shown."""

    def __init__(self, reader: RasterReader, orientation: int) -> None:
        info = reader.info
        sizes = tuple(upright_size(size, orientation) for size in info.levels)
        self.info = replace(
            info, size=upright_size(info.size, orientation), block=upright_size(info.block, orientation), levels=sizes
        )
        self._reader, self._orientation = reader, orientation

    def read(self, rows: slice, columns: slice) -> Block:
        """As :meth:`RasterReader.read`."""
        height, width = self.info.size
        if self._orientation in (2, 3, 6, 7):
            columns = slice(width - columns.stop, width - columns.start)
        if self._orientation in (3, 4, 7, 8):
            rows = slice(height - rows.stop, height - rows.start)
        if self._orientation >= SWAPS:
            rows, columns = columns, rows
        array, valid = self._reader.read(rows, columns)
        return Block(upright(array, self._orientation), None if valid is None else upright(valid, self._orientation))

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
