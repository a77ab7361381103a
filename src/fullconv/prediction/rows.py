"""What labelling a raster holds between the network and its files: rows that are not whole, and the files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fullconv.images.raster_place import Georeference
from fullconv.images.raster_write import Look, MapWriter


class Rows:
    """Maps of whole rows below ``top``, gathered from parts that come in any order.

    Args:
        looks: what the values of each map are.
    """

    def __init__(self, top: int, width: int, looks: Sequence[Look]) -> None:
        self._top, self._bottom, self._filled, self._width = top, top, 0, width
        self._looks = looks
        self._maps = [np.empty((0, width), look.dtype) for look in looks]
        self._blank = np.empty((0, width), bool)

    @property
    def pixels(self) -> int:
        """How many have come, those of earlier rows included."""
        return self._top * self._width + self._filled

    def put(self, rows: slice, columns: slice, pieces: Sequence[np.ndarray]) -> None:
        """Pixels of each map that have not come yet."""
        self._reach(rows.stop)
        for whole, piece in zip(self._maps, pieces, strict=True):
            whole[rows.start - self._top : rows.stop - self._top, columns] = piece
        self._filled += pieces[0].size
        self._bottom = max(self._bottom, rows.stop)

    def leave_out(self, rows: slice, columns: slice, blank: np.ndarray) -> None:
        """Pixels that hold nothing, whatever comes."""
        self._reach(rows.stop)
        start = max(rows.start, self._top)
        self._blank[start - self._top : rows.stop - self._top, columns] = blank[start - rows.start :]

    def complete(self) -> list[np.ndarray] | None:
        """The rows of each map that have come, if these are whole; they are let go."""
        count = self._bottom - self._top
        if not count or self._filled < count * self._width:
            return None
        done = [whole[:count] for whole in self._maps]
        for rows, look in zip(done, self._looks, strict=True):
            rows[self._blank[:count]] = look.nodata
        self._maps, self._blank = [whole[count:].copy() for whole in self._maps], self._blank[count:].copy()
        self._top, self._filled = self._bottom, 0
        return done

    def _reach(self, bottom: int) -> None:
        more = bottom - self._top - len(self._blank)
        if more > 0:
            self._maps = [np.concatenate((old, np.zeros((more, self._width), old.dtype))) for old in self._maps]
            self._blank = np.concatenate((self._blank, np.zeros((more, self._width), bool)))


class Writers:
    """The files of one raster, which are written together; those that a killed run left further wait for the others.

    Args:
        writers: the labels' first.
    """

    def __init__(self, writers: Sequence[MapWriter]) -> None:
        self.labels = writers[0]
        self._all = writers
        self.rows = min(writer.rows for writer in writers)

    @property
    def looks(self) -> list[Look]:
        return [writer.look for writer in self._all]

    def append(self, maps: Sequence[np.ndarray]) -> None:
        """Write the next rows of each."""
        for writer, rows in zip(self._all, maps, strict=True):
            ahead = writer.rows - self.rows
            if ahead < len(rows):
                writer.append(rows[ahead:])
        self.rows += len(maps[0])

    def finish(self, place: Georeference, overviews: bool) -> None:
        """Make the files; the labels' is the last, so that where it is there all are."""
        for writer in reversed(self._all):
            writer.finish(place, overviews=overviews)

    def discard(self) -> None:
        """Remove what is no file yet."""
        for writer in self._all:
            writer.discard()

    def close(self) -> None:
        """Let go of the files; what is written stays, for the next run."""
        for writer in self._all:
            writer.close()
