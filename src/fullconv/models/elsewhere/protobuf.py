"""The wire format of protocol buffers: fields by number, no schema, no recursion.

Format: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, WIDE, BYTES, NARROW = 0, 1, 2, 5
LONGEST_VARINT = 10


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """``(number, value)`` of the fields of one message; a value is a number, or the bytes of a text or message.

    Raises:
        ValueError: it is none.
    """
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = varint(data, place)
            yield number, value
            continue
        if kind == BYTES:
            size, place = varint(data, place)
        else:
            size = {WIDE: 8, NARROW: 4}.get(kind, -1)
        if size < 0 or size > len(data) - place or not number:
            raise ValueError(f"field {number} of kind {kind} at byte {place} does not fit")
        part = data[place : place + size]
        place += size
        yield number, part if kind == BYTES else int.from_bytes(part, "little")


def varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place after it.

    Raises:
        ValueError: it does not end.
    """
    value = 0
    for index, byte in enumerate(data[place : place + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise ValueError(f"a number at byte {place} does not end")


def number(value: int | memoryview) -> int:
    """A field's value as a signed number.

    Raises:
        ValueError: it is bytes.
    """
    if isinstance(value, memoryview):
        raise ValueError("bytes where a number belongs")
    return value - (1 << 64) if value >= 1 << 63 else value


def content(value: int | memoryview) -> memoryview:
    """A field's value as bytes.

    Raises:
        ValueError: it is a number.
    """
    if not isinstance(value, memoryview):
        raise ValueError("a number where bytes belong")
    return value
