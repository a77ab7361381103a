"""The lines of YOLO's text files: outlines, boxes, and poses, which are a box and points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fullconv.errors import DataError, first_few
from fullconv.formats.read.base import lines

BOX_NUMBERS = 5
TOLERANCE = 0.01
SHAPE = "kpt_shape"
VISIBLE = (0.0, 1.0, 2.0)
NO_POINTS = np.zeros((0, 2))
FEWEST_LIKE_POSES = 10
"""So many lines of one length, all with points inside the box that they would be, are no accident."""


class Line(NamedTuple):
    """One line.

    Attributes:
        numbers: class, and an outline or a box; of a pose its box.
        points: of a pose, ``[points, 2 or 3]``: x, y, and how well each is seen.
    """

    numbers: np.ndarray
    points: np.ndarray = NO_POINTS

    @property
    def visible(self) -> np.ndarray:
        """Which points are there, bool ``[points]``."""
        return self.points[:, 2] > 0 if self.points.shape[1] == 3 else np.any(self.points != 0, axis=1)


@dataclass
class Lines:
    """The lines of every text file."""

    rows: dict[Path, list[Line]] = field(default_factory=dict)

    def count(self) -> int:
        """How many lines there are."""
        return sum(map(len, self.rows.values()))

    @property
    def poses(self) -> int:
        """How many of them are poses."""
        return sum(len(row.points) > 0 for rows in self.rows.values() for row in rows)

    @property
    def boxes(self) -> int:
        """How many of them are boxes, and no poses."""
        every = [row for rows in self.rows.values() for row in rows]
        return sum(len(row.numbers) == BOX_NUMBERS and not len(row.points) for row in every)


def read_lines(listing: Path, content: Mapping[str, Any], files: Iterable[Path], ids: Mapping[int, int]) -> Lines:
    """Read text files, and know poses by ``kpt_shape`` of ``data.yaml`` or by their visibilities.

    A pose is ``class x y w h`` and ``n`` points of ``x y`` or ``x y visibility``; read as an outline it would be a
    polygon through its own box and joints.

    Args:
        listing: ``data.yaml``, for messages.
        content: its fields.
        files: the text files.
        ids: the class numbers that there may be.

    Raises:
        DataError: a line that is none of the three, or lines that may be poses, or outlines, with nothing to tell.
    """
    numbers = {path: _numbers(path, ids) for path in files}
    stated = _shape(listing, content)
    every = [row for rows in numbers.values() for row in rows]
    shape = stated if stated is not None else _guessed(listing, every)
    result = Lines()
    for path, rows in numbers.items():
        result.rows[path] = []
        for number, row in enumerate(rows, 1):
            points = NO_POINTS
            if shape is not None and shape[0] and len(row) == BOX_NUMBERS + shape[0] * shape[1]:
                points = row[BOX_NUMBERS:].reshape(shape)
                row = row[:BOX_NUMBERS]
            elif stated is not None and stated[0] and len(row) != BOX_NUMBERS:
                raise DataError(
                    f"{path}: entry {number} has {len(row)} numbers; by {SHAPE} of {listing.name} a pose has "
                    f"{BOX_NUMBERS + stated[0] * stated[1]}, a box {BOX_NUMBERS}; correct {SHAPE}, or the line"
                )
            _refuse_others(path, number, row)
            result.rows[path].append(Line(row, points))
    return result


def _numbers(path: Path, ids: Mapping[int, int]) -> list[np.ndarray]:
    """The lines of a text file as numbers, the first of which is a class."""
    rows = []
    for number, line in enumerate(lines(path), 1):
        try:
            row = np.array([float(word) for word in line.split()])
        except ValueError as error:
            raise DataError(f"{path}: entry {number} is {line[:60]!r}; expected 'class x y x y ...'") from error
        if row[0] not in ids:
            raise DataError(f"{path}: entry {number} has class {row[0]:g}, expected {_range(ids)}; correct names")
        rows.append(row)
    return rows


def _refuse_others(path: Path, number: int, row: np.ndarray) -> None:
    if len(row) % 2 == 0 or len(row) < BOX_NUMBERS:
        raise DataError(
            f"{path}: entry {number} has {len(row)} numbers; expected a class and 4 (box) or 6, 8, ... (outline)"
        )
    if not ((row[1:] >= -TOLERANCE) & (row[1:] <= 1 + TOLERANCE)).all():
        raise DataError(f"{path}: entry {number} has coordinates outside 0 to 1; divide them by width and height")


def _shape(listing: Path, content: Mapping[str, Any]) -> tuple[int, int] | None:
    """``kpt_shape``: points, and numbers of each; (0, 0) where it says none, None where it is not there."""
    if SHAPE not in content:
        return None
    given = content[SHAPE]
    if not given or given == [0, 0]:
        return 0, 0
    whole = isinstance(given, list) and len(given) == 2 and all(isinstance(n, int) and n > 0 for n in given)
    if not whole or given[1] not in (2, 3):
        raise DataError(f"{listing}: {SHAPE} is {str(given)[:40]}; expected [points, 2] or [points, 3]")
    return given[0], given[1]


def _guessed(listing: Path, rows: list[np.ndarray]) -> tuple[int, int] | None:
    """The shape of poses without ``kpt_shape``: all longer lines have one length, and points in their own box."""
    longer = [row for row in rows if len(row) > BOX_NUMBERS]
    if not longer or len({len(row) for row in longer}) > 1:
        return None
    rest = np.stack(longer)[:, BOX_NUMBERS:]
    boxes = np.stack(longer)[:, 1:BOX_NUMBERS]
    if rest.shape[1] % 3 == 0:
        points = rest.reshape(len(rest), -1, 3)
        if np.isin(points[..., 2], VISIBLE).all() and _inside(points[..., :2], boxes, points[..., 2] > 0):
            return points.shape[1], 3
    if rest.shape[1] % 2 or len(longer) < FEWEST_LIKE_POSES:
        return None
    points = rest.reshape(len(rest), -1, 2)
    if _inside(points, boxes, np.any(points != 0, axis=-1)):
        raise DataError(
            f"{listing}: all {len(longer)} lines of {len(longer[0])} numbers look like poses, a box and "
            f"{points.shape[1]} points in it; write '{SHAPE}: [{points.shape[1]}, 2]' into it, or '{SHAPE}: []' if "
            "they are outlines"
        )
    return None


def _inside(points: np.ndarray, boxes: np.ndarray, there: Any) -> bool:
    """Whether all points ``[n, k, 2]`` that are there lie in the boxes ``[n, 4]`` of centre and size."""
    far = np.abs(points - boxes[:, None, :2]) > boxes[:, None, 2:] / 2 + TOLERANCE
    return not (far.any(-1) & there).any()


def _range(ids: Mapping[int, int]) -> str:
    return f"{min(ids)} to {max(ids)}" if len(ids) == max(ids) - min(ids) + 1 else first_few([str(i) for i in ids], 20)
