"""Writing a map from the top, in bands of rows: a tiled TIFF file, whose finished rows outlive a kill.

Finished tiles, compressed, are appended to a partial file beside the target, and a journal of one line per band says
which they are. At the end they become the target in one step.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from filelock import FileLock, Timeout

from fullconv.errors import FullconvError, UsageError
from fullconv.files import replacing, write_text
from fullconv.images.raster_place import Georeference
from fullconv.images.write import VOID_COLOUR
from fullconv.spec import ClassSet

TILE = 512
CLASSIC = 3 << 30
"""Compressed bytes up to which a file is classic TIFF, with offsets of 32 bits; overviews come on top."""
SMALLEST = 256
"""Overviews are made until both sides are at most so long."""
NODATA = 42113
Span = tuple[int, int]
"""Where a stored tile begins in the partial file, and its bytes."""


class Look(NamedTuple):
    """What the values of a map are.

    Attributes:
        dtype: of its pixels.
        nodata: the value of those that hold nothing.
        colours: TIFF's palette, uint16 ``[3, 256]``; None: grey.
    """

    dtype: np.dtype
    nodata: int
    colours: np.ndarray | None = None

    @classmethod
    def of(cls, classes: ClassSet) -> Look:
        """Of a map of ids."""
        if len(classes) > 255 or classes.ignore_index > 255:
            return cls(np.dtype(np.uint16), classes.ignore_index)
        return cls(np.dtype(np.uint8), classes.ignore_index, _colormap(classes))


class MapWriter:
    """A map that is written in bands of whole rows, and goes on where it was left.

    Args:
        path: the TIFF file to become.
        size: ``(height, width)``.
        look: what its values are.
        job: what they depend on, JSON-ready; a partial file of another job is begun again.
        others: how many bytes will be written beside it on the same disk.

    Attributes:
        rows: how many are written.
        empty: no pixel of them holds anything.

    Raises:
        FullconvError: too little space on the disk, or no place to write.
        UsageError: another process writes the same file.
    """

    def __init__(self, path: Path, size: tuple[int, int], look: Look, job: dict[str, Any], others: int = 0) -> None:
        self.path, self.size, self.look, self.dtype, self._others = path, size, look, look.dtype, others
        self._data_path, self._journal_path = _beside(path)
        head = json.dumps({"size": size, "tile": TILE, "dtype": self.dtype.name, "job": job}, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path.with_name(f".{path.name}.lock"))
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{path}: another process writes it; wait for it, or choose another --out") from None
        except OSError as error:
            raise FullconvError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
        self.rows, self.empty, self._rest = 0, True, np.empty((0, size[1]), self.dtype)
        self._tiles: list[Span] = []
        try:
            self._resume(head)
        except BaseException:
            self._unlock()
            raise

    def append(self, rows: np.ndarray) -> None:
        """Write the next rows, ``[n, width]``; from then on they outlive a kill."""
        rows = rows.astype(self.dtype, copy=False)
        self.rows += len(rows)
        self.empty &= bool((rows == self.look.nodata).all())
        lead = min(-len(self._rest) % TILE, len(rows))
        first, others = np.concatenate((self._rest, rows[:lead])), rows[lead:]
        before = len(self._tiles)
        try:
            for some in (first, others):
                full = len(some) if self.rows == self.size[0] else len(some) // TILE * TILE
                self._tiles += [self._store(tile) for tile in _tiles(some[:full], self.look.nodata)]
                self._rest = some[full:].copy() if len(some) else self._rest
            kept = self._store(self._rest)
            self._data.flush()
            os.fsync(self._data.fileno())
            band = {"rows": self.rows, "tiles": self._tiles[before:], "rest": [len(self._rest), *kept]}
            self._journal.write(json.dumps({**band, "empty": self.empty}) + "\n")
            self._journal.flush()
            os.fsync(self._journal.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def finish(self, place: Georeference, *, overviews: bool = False) -> None:
        """All rows are there: make the file of them, and leave nothing else.

        Args:
            place: where it lies on the earth.
            overviews: also store copies of half the size, a quarter, ..., by every second pixel.
        """
        assert self.rows == self.size[0], f"{self.rows} of {self.size[0]} rows"
        large = sum(length for _, length in self._tiles) > CLASSIC
        tags = [(tag.code, tag.kind, tag.number, tag.value, True) for tag in place.tags]
        tags.append((NODATA, 2, 0, str(self.look.nodata), True))
        options: dict[str, Any] = {"dtype": self.dtype, "tile": (TILE, TILE), "compression": "zlib", "metadata": None}
        options |= {"photometric": "minisblack", "software": False}
        if self.look.colours is not None:
            options |= {"photometric": "palette", "colormap": self.look.colours}
        try:
            with replacing(self.path) as temporary, tifffile.TiffWriter(temporary, bigtiff=large) as file:
                file.write((self._load(tile) for tile in self._tiles), shape=self.size, extratags=tags, **options)
                size, tiles = self.size, self._tiles
                while overviews and max(size) > SMALLEST:
                    tiles, size = self._halved(size, tiles), (-(-size[0] // 2), -(-size[1] // 2))
                    file.write((self._load(tile) for tile in tiles), shape=size, subfiletype=1, **options)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.discard()

    def discard(self) -> None:
        """Remove what is no file yet."""
        self.close()
        for path in (self._data_path, self._journal_path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; what is written stays, for the next run."""
        self._data.close()
        self._journal.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def _resume(self, head: str) -> None:
        """Take up what an earlier run of the same job left, or begin."""
        lines, end, rest = [head], 0, (0, 0, 0)
        with suppress(OSError):
            found = self._journal_path.read_text().split("\n")[:-1]  # a line that was being written is left out
            held = self._data_path.stat().st_size
            if found[:1] == [head]:
                for line in found[1:]:
                    band = json.loads(line)
                    count, offset, length = (int(number) for number in band["rest"])
                    if offset + length > held:
                        break
                    lines.append(line)
                    self.rows, end, rest = int(band["rows"]), offset + length, (count, offset, length)
                    self.empty = bool(band["empty"])
                    self._tiles += [(int(at), int(size)) for at, size in band["tiles"]]
        self._refuse_full(end)
        self._data = self._data_path.open("r+b" if end else "w+b")
        self._data.truncate(end)
        self._data.seek(end)
        if self.rows:
            values = np.frombuffer(zlib.decompress(self._load(rest[1:])), self.dtype)
            self._rest = values.reshape(rest[0], self.size[1])
        write_text(self._journal_path, "\n".join(lines) + "\n")
        self._journal = self._journal_path.open("a")

    def _refuse_full(self, written: int) -> None:
        need = self.size[0] * self.size[1] * self.dtype.itemsize - written + self._others
        free = shutil.disk_usage(self.path.parent).free
        if free < need:
            raise FullconvError(
                f"{self.path}: needs up to {need / 1e9:,.2f} GB on the disk, {free / 1e9:,.2f} GB are free; free some "
                "space, or choose another --out"
            )

    def _store(self, values: np.ndarray) -> Span:
        """Append an array to the partial file, compressed: where it lies, and its bytes."""
        content = zlib.compress(values.tobytes(), 6)
        offset = self._data.seek(0, os.SEEK_END)
        self._data.write(content)
        return offset, len(content)

    def _load(self, tile: Span) -> bytes:
        self._data.seek(tile[0])
        return self._data.read(tile[1])

    def _halved(self, size: tuple[int, int], tiles: list[Span]) -> list[Span]:
        """Every second row and column of stored tiles of a map of ``size``, stored too."""
        down, across = -(-size[0] // TILE), -(-size[1] // TILE)
        half = TILE // 2
        stored = []
        for y in range(0, down, 2):
            for x in range(0, across, 2):
                quarter = np.full((TILE, TILE), self.look.nodata, self.dtype)
                for j, i in ((j, i) for j in range(min(2, down - y)) for i in range(min(2, across - x))):
                    content = zlib.decompress(self._load(tiles[(y + j) * across + x + i]))
                    values = np.frombuffer(content, self.dtype).reshape(TILE, TILE)
                    quarter[j * half : (j + 1) * half, i * half : (i + 1) * half] = values[::2, ::2]
                stored.append(self._store(quarter))
        return stored


def begun(path: Path) -> bool:
    """Whether a raster was begun here, whose finished rows are not written again."""
    return all(one.is_file() for one in _beside(path))


def _beside(path: Path) -> tuple[Path, Path]:
    """What there is of a raster while it is written: the rows, and what is said of them."""
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.journal")


def _tiles(rows: np.ndarray, fill: int) -> Iterator[np.ndarray]:
    """Rows as tiles, left to right and down; the last ones are filled up."""
    for top in range(0, len(rows), TILE):
        for left in range(0, rows.shape[1], TILE):
            piece = rows[top : top + TILE, left : left + TILE]
            tile = np.full((TILE, TILE), fill, rows.dtype)
            tile[: piece.shape[0], : piece.shape[1]] = piece
            yield tile


def _colormap(classes: ClassSet) -> np.ndarray:
    """TIFF's palette, uint16 ``[3, 256]``."""
    colours = [*classes.palette, *[VOID_COLOUR] * (256 - len(classes))]
    return np.array(colours, np.uint16).T * 257


def _unwritable(path: Path, error: OSError) -> FullconvError:
    if error.errno == errno.ENOSPC:
        return FullconvError(f"{path}: the disk is full; free some space and run again, it goes on where it was")
    return FullconvError(f"{path}: cannot be written ({error.strerror}); choose another --out")
