"""TensorFlow's variables: a TensorBundle, ``NAME.index`` and ``NAME.data-00000-of-00001``.

The index is a sorted table of LevelDB's format whose values are protobuf messages: the empty key has the header (number
of shards, 1; byte order, 2), every other key is a variable's name with its type (1), shape (2), shard (3), offset (4),
size (5) and, where it is stored in parts, slices (7).
Format: ``tensorflow/core/protobuf/tensor_bundle.proto``; LevelDB's ``doc/table_format.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from fullconv.errors import ModelFileError
from fullconv.models.elsewhere.arrays import MOST_TENSORS, mapped, tensor
from fullconv.models.elsewhere.protobuf import content, fields, number, varint

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER, TRAILER = 48, 5
PLAIN = 0
"""Type of a block that is not compressed; TensorFlow compresses none."""
MOST_SHARDS = 10_000
TYPES = {
    1: torch.float32, 2: torch.float64, 3: torch.int32, 4: torch.uint8, 6: torch.int8, 9: torch.int64, 10: torch.bool,
    14: torch.bfloat16, 19: torch.float16,
}  # fmt: skip


def find_bundle(path: Path) -> Path | None:
    """The index that is meant by it, or by its folder, or by a saved_model's folder; None where there is none."""
    if path.is_file():
        return path if path.suffix == ".index" else None
    places = (path / "variables" / "variables.index", path / "variables.index")
    return next((place for place in places if place.is_file()), None)


def read_bundle(index: Path, most: int = MOST_TENSORS) -> dict[str, Tensor]:
    """The variables by name; texts (the graph of a TensorFlow 2 checkpoint) are passed over.

    Raises:
        ModelFileError: not such files, damaged, or stored in a way that is not known here.
    """
    try:
        entries = dict(_entries(mapped(index), most))
        shards = _header(entries.pop(b"", None))
        name = index.name.removesuffix(".index")
        files = [index.with_name(f"{name}.data-{number:05d}-of-{shards:05d}") for number in range(shards)]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise ModelFileError(f"{index}: {missing[0]} is missing beside it; copy the whole folder")
        data = [mapped(file) for file in files]
        found = {str(key, "utf-8"): _variable(value, data) for key, value in entries.items()}
    except (ValueError, OSError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"{index}: not TensorFlow variables that can be read ({str(error)[:120]}); save them again with "
            "tf.train.Saver"
        ) from error
    return {name: value for name, value in found.items() if value is not None}


def _header(value: memoryview | None) -> int:
    """The number of shards."""
    if value is None:
        raise ValueError("no header")
    said = dict(fields(value))
    shards = number(said.get(1, 0))
    if number(said.get(2, 0)) or not 0 < shards <= MOST_SHARDS:
        raise ValueError(f"{shards} shards, or another byte order than this machine's")
    return shards


def _variable(value: memoryview, data: list[memoryview]) -> Tensor | None:
    said = dict(fields(value))
    if 7 in said:
        raise ValueError("a variable that is stored in parts")
    kind = TYPES.get(number(said.get(1, 0)))
    if kind is None:
        return None
    shape = [_size(content(dim)) for field, dim in fields(content(said.get(2, memoryview(b"")))) if field == 2]
    shard, offset, size = (number(said.get(field, 0)) for field in (3, 4, 5))
    if not 0 <= shard < len(data) or offset < 0 or size < 0 or offset + size > len(data[shard]):
        raise ValueError("a variable beyond the end of its file")
    return tensor(data[shard][offset : offset + size], kind, shape)


def _size(dimension: memoryview) -> int:
    return number(dict(fields(dimension)).get(1, 0))


def _entries(data: memoryview, most: int) -> Iterator[tuple[bytes, memoryview]]:
    if len(data) < FOOTER or bytes(data[-8:]) != MAGIC:
        raise ValueError("it does not end as a table")
    footer = data[-FOOTER:]
    place = 0
    for _ in range(2):  # the handle of the meta index is passed over
        _, place = varint(footer, place)
    count = 0
    for _, handle in _block(data, footer[place:]):
        for entry in _block(data, handle):
            count += 1
            if count > most:
                raise ValueError(f"more than {most} variables")
            yield entry


def _block(data: memoryview, handle: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a block; a key says how much of the one before it begins with."""
    offset, place = varint(handle, 0)
    size, _ = varint(handle, place)
    if offset + size + TRAILER > len(data) or size < 4:
        raise ValueError("a block beyond the end of the file")
    if data[offset + size] != PLAIN:
        raise ValueError("a compressed block")
    block = data[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # the places where keys begin anew, and their number
    if end < 0:
        raise ValueError("a block without entries")
    key, place = b"", 0
    while place < end:
        shared, place = varint(block, place)
        rest, place = varint(block, place)
        length, place = varint(block, place)
        if shared > len(key) or place + rest + length > end:
            raise ValueError("an entry beyond the end of its block")
        key = key[:shared] + bytes(block[place : place + rest])
        yield key, block[place + rest : place + rest + length]
        place += rest + length
