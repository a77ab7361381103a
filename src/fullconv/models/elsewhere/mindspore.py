"""MindSpore's ``.ckpt``: a protobuf message ``Checkpoint`` of named tensors.

Format: ``mindspore/ccsrc/utils/checkpoint.proto``. A message holds values (field 1), each a tag (1) and a tensor (2) of
dims (1), type (2) and content (3); a tensor too long for one value goes on in the next of the same tag.
"""

from __future__ import annotations

import binascii
from pathlib import Path

import torch
from torch import Tensor

from fullconv.errors import ModelFileError
from fullconv.models.elsewhere.arrays import MOST_TENSORS, mapped, tensor
from fullconv.models.elsewhere.protobuf import content, fields, number

TYPES = {
    "Float32": torch.float32, "Float16": torch.float16, "Float64": torch.float64, "BFloat16": torch.bfloat16,
    "Int64": torch.int64, "Int32": torch.int32, "Int16": torch.int16, "Int8": torch.int8, "UInt8": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
CHECKSUM, CHECKSUM_BYTES = b"crc_num", 10
"""What may follow the message."""


def read_mindspore(path: Path, most: int = MOST_TENSORS) -> dict[str, Tensor]:
    """The parameters of a checkpoint by name, at most ``most`` of them; texts beside them are passed over.

    Raises:
        ModelFileError: not such a file, damaged, or encrypted.
    """
    try:
        return _parsed(_checked(mapped(path)), most)
    except (ValueError, OSError) as error:
        raise ModelFileError(
            f"{path}: not a MindSpore checkpoint that can be read ({str(error)[:120]}); if it is encrypted or damaged, "
            "save it again with mindspore.save_checkpoint"
        ) from error


def _checked(data: memoryview) -> memoryview:
    end = len(data) - len(CHECKSUM) - CHECKSUM_BYTES
    if end < 0 or bytes(data[end : end + len(CHECKSUM)]) != CHECKSUM:
        return data
    if binascii.crc32(data[:end]) != int.from_bytes(data[-CHECKSUM_BYTES:], "big"):
        raise ValueError("its checksum is not that of its content")
    return data[:end]


def _parsed(data: memoryview, most: int) -> dict[str, Tensor]:
    stored: dict[str, tuple[list[int], str, list[memoryview]]] = {}
    for field, value in fields(data):
        if field != 1:
            raise ValueError(f"field {field} where parameters belong")
        entry = dict(fields(content(value)))
        if set(entry) != {1, 2}:
            raise ValueError("a parameter without a name or tensor")
        name = str(content(entry[1]), "utf-8")
        dims: list[int] = []
        kind, parts = "", []
        for inner, said in fields(content(entry[2])):
            if inner == 1:
                dims += [number(said)] if isinstance(said, int) else []
            elif inner == 2:
                kind = str(content(said), "utf-8")
            elif inner == 3:
                parts.append(content(said))
        if kind not in TYPES:
            continue  # a text beside the parameters
        first_dims, first_kind, before = stored.setdefault(name, (dims, kind, []))
        if (dims, kind) != (first_dims, first_kind):
            raise ValueError(f"two parameters are named {name[:40]}")
        before += parts
        if len(stored) > most:
            raise ValueError(f"more than {most} parameters")
    if not stored:
        raise ValueError("it holds no parameters")
    return {name: _joined(*rest) for name, rest in stored.items()}


def _joined(dims: list[int], kind: str, parts: list[memoryview]) -> Tensor:
    data = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    scalar = dims == [0] and len(data) == TYPES[kind].itemsize
    return tensor(data, TYPES[kind], () if scalar else dims)
