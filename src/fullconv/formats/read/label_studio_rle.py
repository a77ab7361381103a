"""Label Studio's brush masks: thi.ng's bit-packed run lengths of an RGBA picture, of which alpha is the mask.

Format (thi.ng/umbrella, ``rle-pack``), all numbers with the highest bit first: 32 bits, how many values; 5 bits, the
length of a value less 1; four times 4 bits, the possible lengths of a count less 1. Then blocks: 1 bit (1: one value
repeated, 0: values one by one), 2 bits (which of the four lengths), a count less 1, and the value or values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fullconv.errors import DataError

HEADER_BITS = 32 + 5 + 4 * 4
CHANNELS = 4


@dataclass(frozen=True)
class BrushMask:
    """The packed bytes of one brush region; a pixel is in it where alpha is above 0."""

    packed: bytes

    def num_values(self) -> int:
        """What the header says: 4 a pixel."""
        return int.from_bytes(self.packed[:4], "big")

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        """bool ``[height, width]``.

        Raises:
            DataError: another number of pixels, or fewer values than the header says.
        """
        count = self.num_values()
        if count != size[0] * size[1] * CHANNELS:
            raise DataError(
                f"{where}: a brush mask of {count} values, expected {CHANNELS} for each pixel of {size[1]}x{size[0]}; "
                "export it again"
            )
        try:
            values = unpack(self.packed)
        except EOFError as error:
            raise DataError(f"{where}: a brush mask that ends too soon; export it again") from error
        return np.asarray(values.reshape(*size, CHANNELS)[..., 3] > 0)


def unpack(packed: bytes) -> np.ndarray:
    """The values, uint32 ``[n]``.

    Raises:
        EOFError: the bytes end before the last value.
    """
    data, end = packed + bytes(8), 8 * len(packed)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    place = 0

    def take(length: int) -> int:
        nonlocal place
        if place + length > end:
            raise EOFError
        window = int.from_bytes(data[place >> 3 : (place >> 3) + 8], "big")
        place += length
        return (window >> (64 - length - ((place - length) & 7))) & ((1 << length) - 1)

    count, word = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    weights = (1 << np.arange(word, dtype=np.int64))[::-1]
    values = np.zeros(count, np.uint32)
    done = 0
    while done < count:
        repeated = take(1)
        stop = min(done + take(lengths[take(2)]) + 1, count)
        if repeated:
            values[done:stop] = take(word)
        else:
            after = place + (stop - done) * word
            if after > end:
                raise EOFError
            values[done:stop] = bits[place:after].reshape(-1, word) @ weights
            place = after
        done = stop
    return values
