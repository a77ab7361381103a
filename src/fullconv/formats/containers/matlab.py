"""Arrays from MATLAB's .mat files, and their numbers -> label maps."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fullconv.errors import DataError, first_few
from fullconv.formats.archive import LARGE, refuse_bomb
from fullconv.text import note

COMPRESSED = 15
"""MATLAB 5's type of an element that zlib packed."""
DEFLATE_AT_BEST = 1032
"""Bytes that zlib can make of one."""


def read_mat(path: Path, name: str, most: int = LARGE) -> Any:
    """The variable ``name`` of a .mat file of MATLAB 4 to 7.2.

    Raises:
        DataError: no such file, damaged, of another version, without this variable, or of more than ``most`` bytes
            from a small file.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(f"{path}: no such file; check the name or the list that names it")
    note(path)
    refuse_bomb(str(path), path.stat().st_size, _unpacked(path, most), most)
    try:
        found = loadmat(path, variable_names=[name])
    except NotImplementedError as error:
        raise DataError(f"{path}: a file of MATLAB 7.3; save it with -v7") from error
    except Exception as error:  # scipy raises what its parser stumbles over: ValueError, TypeError, zlib.error, ...
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged or not a .mat file ({reason}); copy or unpack it again") from error
    if name not in found:
        raise DataError(f"{path}: holds no variable {name}; is this the data set's own file? Unpack it again")
    return found[name]


def _unpacked(path: Path, most: int) -> int:
    """Bytes of a MATLAB 5 file's variables; they are unpacked, up to ``most``, only where it could hold more."""
    total = path.stat().st_size
    if total * DEFLATE_AT_BEST <= most:
        return total
    with path.open("rb") as file:
        little = file.read(128)[126:128] != b"MI"
        while len(tag := file.read(8)) == 8 and total <= most:
            kind, size = struct.unpack("<II" if little else ">II", tag)
            if kind == COMPRESSED:
                total += _inflated(file, size, most)
            else:
                file.seek(size, os.SEEK_CUR)
    return total


def _inflated(file: BinaryIO, size: int, most: int) -> int:
    """Bytes of the next ``size`` ones, unpacked, a megabyte at a time; what is damaged is for scipy to name."""
    unpack, total, rest = zlib.decompressobj(), 0, b""
    with contextlib.suppress(zlib.error):
        while (size or rest) and total <= most and not unpack.eof:
            if not rest:
                rest = file.read(min(size, 1 << 16))
                size -= len(rest)
                if not rest:
                    break
            total += len(unpack.decompress(rest, 1 << 20))
            rest = unpack.unconsumed_tail
    file.seek(size, os.SEEK_CUR)
    return total


def labels_from(raw: np.ndarray, where: str, num_classes: int, ignore_index: int, first: int = 0) -> np.ndarray:
    """Numbers ``[height, width]`` -> labels: uint8, or int32 when ``ignore_index`` needs it.

    Args:
        raw: class numbers; MATLAB often stores them as doubles.
        where: file and entry, for messages.
        first: the number of the first class: 0, or 1, where 0 is unlabelled.

    Raises:
        DataError: not a map of whole numbers, or one that stands for no class.
    """
    if raw.ndim != 2 or raw.dtype.kind not in "uif" or not np.array_equal(raw, np.round(raw)):
        raise DataError(f"{where}: holds {raw.dtype} {list(raw.shape)}; expected class numbers [height, width]")
    numbers = raw.astype(np.int64)
    last = num_classes - 1 + first
    wrong = (numbers < 0) | (numbers > last)
    if wrong.any():
        strange = [str(value) for value in np.unique(numbers[wrong])]
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        raise DataError(
            f"{where}: holds class {first_few(strange)} at row {row}, column {column}; expected 0 to {last}; "
            "unpack the file again"
        )
    labels = np.where(numbers < first, ignore_index, numbers - first)
    return labels.astype(np.uint8 if ignore_index <= 255 else np.int32)
