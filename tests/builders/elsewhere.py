"""Files of MindSpore and TensorFlow, written after the formats' descriptions."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def mindspore_file(arrays: Arrays, slices: int = 1) -> bytes:
    """``slices``: how many values a parameter is cut into, along its first axis."""
    out = b""
    for name, array in arrays.items():
        kind = {"f": "Float", "i": "Int"}[array.dtype.kind] + str(8 * array.dtype.itemsize)
        for part in np.array_split(array, slices) if array.ndim else [array]:
            dims = b"".join(message(1, side) for side in array.shape or (0,))
            tensor = dims + message(2, kind.encode()) + message(3, part.tobytes())
            out += message(1, message(1, name.encode()) + message(2, tensor))
    return out


def table_block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block of LevelDB's table, each key after the first given by what is new in it."""
    out, before = b"", b""
    for key, value in entries:
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + struct.pack("<II", 0, 1)


def bundle(folder: Path, arrays: Arrays) -> Path:
    """A TensorBundle of one shard in ``folder/variables``, blocks of at most three entries."""
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    entries, data = [(b"", message(1, 1) + message(3, message(1, 1)))], b""
    for name, array in sorted(arrays.items()):
        shape = b"".join(message(2, message(1, side)) for side in array.shape)
        kind = {"f": 1, "i": 9}[array.dtype.kind]
        place = message(4, len(data)) + message(5, array.nbytes) + varint(6 << 3 | 5) + bytes(4)
        entries.append((name.encode(), message(1, kind) + message(2, shape) + place))
        data += array.tobytes()
    out, handles = b"", []
    for start in range(0, len(entries), 3):
        part = entries[start : start + 3]
        block = table_block(part)
        handles.append((part[-1][0], varint(len(out)) + varint(len(block))))
        out += block + b"\0" + bytes(4)
    index = table_block(handles)
    footer = (varint(0) + varint(0) + varint(len(out)) + varint(len(index))).ljust(40, b"\0")
    out += index + b"\0" + bytes(4) + footer + (0xDB4775248B80FB57).to_bytes(8, "little")
    (folder / "variables" / "variables.index").write_bytes(out)
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(data)
    return folder


def random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 1
    return (rng.normal(size=shape) * scale).astype(np.float32)
