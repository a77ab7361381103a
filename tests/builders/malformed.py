"""Malformed requests: damaged and truncated files, bombs, forms, paths, headers, tensors."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.builders.bombs import png_bomb
from tests.builders.models import picture
from tests.builders.serving import png

SMALL = picture(8, 9)
WHOLE = [png(SMALL, kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")]
STARTS = [content[:size] for content in WHOLE for size in (2, 8, 12, 26, 40)]


class Bad(NamedTuple):
    """A request; ``readable``: it may be an image all the same."""

    method: str = "POST"
    target: str = "/v1/segment"
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    cut: bool = False
    readable: bool = False


def noise(chance: random.Random, most: int = 60) -> bytes:
    return chance.randbytes(chance.randrange(most))


def damaged(chance: random.Random) -> Bad:
    content = bytearray(chance.choice(WHOLE))
    for _ in range(chance.randrange(1, 9)):
        place = chance.randrange(len(content))
        match chance.randrange(4):
            case 0:
                content[place] = chance.randrange(256)
            case 1:
                del content[place:]
                content += b"\0"
            case 2:
                content[place:place] = noise(chance)
            case 3:
                content[place : place + 4] = struct.pack(
                    chance.choice("<>") + "I", chance.choice((0, 1, 2**31, 2**32 - 1))
                )
    return Bad(body=bytes(content), readable=True)


def begun(chance: random.Random) -> Bad:
    return Bad(body=chance.choice(STARTS) + noise(chance, 300), readable=True)


def bomb(chance: random.Random) -> Bad:
    side = chance.choice((2**15, 60000, 2**16 - 1))
    bmp = bytearray(WHOLE[4])
    bmp[18:26] = struct.pack("<ii", side, side)
    jpeg = bytearray(WHOLE[1])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    tiff = (
        b"II*\0\x08\0\0\0\x02\0"
        + struct.pack("<HHII", 256, 4, 1, side)
        + struct.pack("<HHII", 257, 4, 1, side)
        + bytes(4)
    )
    return Bad(body=chance.choice((png_bomb(side, side), bytes(bmp), bytes(jpeg), tiff)))


def form(chance: random.Random) -> Bad:
    kind = b"multipart/form-data" + chance.choice((b"", b"; boundary=", b"; boundary=x", b"; boundary=\xff", b";=;"))
    part = b'--x\r\nContent-Disposition: form-data; name="i"; filename="' + noise(chance, 20) + b'"\r\n\r\n'
    body = chance.choice(
        (b"", b"--x", b"--x\r\n\r\n", part, part + noise(chance) + b"\r\n--x--", part * 3, noise(chance))
    )
    return Bad(body=body, headers=((b"content-type", kind),))


def path(chance: random.Random) -> Bad:
    pieces = (
        "..",
        "%2e%2e",
        "%2f",
        "etc",
        "passwd",
        "%00",
        "v1",
        "static",
        "\\",
        "C:",
        "page.js%00",
        "%c0%ae",
        "~",
        "file:",
    )
    target = "/x/" + "/".join(chance.choices(pieces, k=chance.randrange(1, 9)))
    return Bad(chance.choice(("GET", "POST", "HEAD", "PUT")), target)


def query(chance: random.Random) -> Bad:
    names = ("model", "as", "opacity", "tolerance", "min_area", "maps", "x")
    values = ("%00", "../m", "nan", "-1", "1e999", "%ff", "a" * 5000, "[]", "palette%0d%0aX: y", "2")
    return Bad(target=f"/v1/segment?x=1&{chance.choice(names)}={chance.choice(values)}", body=WHOLE[0])


def header(chance: random.Random) -> Bad:
    values = (
        b"\xff\xfe",
        b"-1",
        b"9" * 40,
        b"text/html",
        b"\0",
        b"*",
        b";q=;",
        b"image/png;q=0",
        noise(chance),
        b"a" * 9000,
        b"http://[",
        b"http://[::1",
    )
    name = chance.choice((b"accept", b"content-length", b"origin", b"content-type"))
    value = chance.choice(values)
    return Bad(body=noise(chance), headers=((name, value), (b"prefer", b"wait=" + noise(chance, 9))))


def tensor(chance: random.Random) -> Bad:
    long: list[Any] = ["x" * 20_000, *[""] * 10_000]  # as an array each is as long as the first
    odd: Any = chance.choice((long, [[]] * 30_000, None, -1, 1e308, "x", [], {}, [[]], True, 2**70, {"a": [None]}))
    given: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}
    given[chance.choice(list(given))] = odd
    request: Any = chance.choice(({"inputs": [given]}, {"inputs": given}, [given], odd))
    text = json.dumps(request).encode()
    text = chance.choice((text, text[:-1], b"[" * 99999, noise(chance), text + noise(chance)))
    lengths = (b"1", b"-1", b"9" * 9, b"\xb2", noise(chance, 6))
    headers = ((b"inference-header-content-length", chance.choice(lengths)),) if chance.random() < 0.3 else ()
    return Bad(
        target=f"/v2/models/{chance.choice(('m', 'm', 'm', '..', '%2e%2e%2fm'))}/infer", body=text, headers=headers
    )


def truncated(chance: random.Random) -> Bad:
    content = chance.choice(WHOLE)
    return Bad(body=content[: chance.randrange(len(content))], cut=True)


def too_long(chance: random.Random) -> Bad:
    return Bad(body=WHOLE[0] + bytes(chance.choice((200_000, 300_000))))


def method(chance: random.Random) -> Bad:
    return Bad(chance.choice(("GET", "PUT", "DELETE", "TRACE", "OPTIONS", "PATCH", "ÜBER", "")), body=WHOLE[0])


KINDS: tuple[Callable[[random.Random], Bad], ...] = (
    damaged, begun, bomb, form, path, query, header, tensor, truncated, too_long, method,
)  # fmt: skip


def requests(count: int) -> Iterator[tuple[str, Bad]]:
    """So many, with the name of what is wrong; always the same."""
    chance = random.Random(18)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield kind.__name__, kind(chance)
