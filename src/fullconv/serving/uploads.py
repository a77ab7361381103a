"""The image of a request: its bytes within the limit, told by content, its size from the header."""

from __future__ import annotations

import asyncio

from fastapi import Request
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from fullconv.errors import DataError
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import image_size
from fullconv.serving.deadline import Deadline
from fullconv.serving.limits import Limits
from fullconv.serving.problems import Problem

NAMES = "PNG, JPEG, WebP, TIFF or BMP"


def is_image(content: bytes) -> bool:
    """Whether it begins like a file of one of :data:`NAMES`."""
    if content[:4] == b"RIFF":
        return content[8:12] == b"WEBP"
    if content[:2] == b"BM":  # two letters say little: the size of the header that follows has few values
        return int.from_bytes(content[14:18], "little") in (12, 40, 52, 56, 64, 108, 124)
    starts = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    return content.startswith(starts)


async def body_of(request: Request, limits: Limits, deadline: Deadline) -> bytes:
    """All bytes of a request.

    Raises:
        Problem: 413, more than the limit; 400, fewer than were announced; 408, they take too long.
    """
    too_large = Problem(413, f"more than {limits.megabytes:g} MB; send a smaller file (--megabytes is the limit)")
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()):
        raise Problem(400, f"Content-Length is a whole number, found {announced[:40]!r}")
    if len(announced) > 18 or int(announced) > limits.bytes:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(deadline.left):
            async for block in request.stream():
                content += block
                if len(content) > limits.bytes:
                    raise too_large
    except TimeoutError:
        raise Problem(408, f"the request took more than {deadline.seconds:g} seconds to arrive") from None
    except ClientDisconnect:
        raise Problem(400, "the request ended before its last byte") from None
    return bytes(content)


async def image_of(request: Request, limits: Limits, deadline: Deadline) -> tuple[bytes, tuple[int, int]]:
    """The image that is the body, or the one file of a form, and its height and width.

    Raises:
        Problem: as :func:`body_of`; 415, no image of the formats that are read; 413, more pixels than the limit;
            422, a header that cannot be read.
    """
    content = await body_of(request, limits, deadline)
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == "multipart/form-data":
        content = _of_form(kind, content)
    # beside the event loop: Pillow decodes a PNG to see what is said behind its pixels
    return content, await asyncio.to_thread(size_of, content, limits)


def size_of(content: bytes, limits: Limits) -> tuple[int, int]:
    """Height and width of an image, from its header.

    Raises:
        Problem: as :func:`image_of`.
    """
    if not content:
        raise Problem(400, "no bytes, where an image is expected; send the file as the body, or as a file of a form")
    if not is_image(content):
        raise Problem(415, f"not an image that is taken; send {NAMES}")
    try:
        height, width = image_size(EncodedFile(content, "the image"), limits.pixels)
    except DataError as error:
        raise Problem(413 if "more than the limit" in str(error) else 422, str(error)) from error
    except Exception as error:  # whatever a broken header makes of the libraries that read it
        raise Problem(422, f"the image: its header cannot be read ({type(error).__name__}: {error})") from error
    if min(height, width) < 1:
        raise Problem(422, f"the image: its header says {width}x{height} pixels; copy or save it again")
    return height, width


def _of_form(content_type: str, content: bytes) -> bytes:
    """The one file of a form, in memory: what is refused leaves nothing open.

    Raises:
        Problem: 400, no form, or not one file.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    parts = list[tuple[bytearray, bytearray]]()  # headers and content

    def begin() -> None:
        if len(parts) == 1:
            raise MultipartParseError("more than one part")
        parts.append((bytearray(), bytearray()))

    def head(data: bytes, start: int, end: int) -> None:
        parts[-1][0].extend(data[start:end])

    def body(data: bytes, start: int, end: int) -> None:
        parts[-1][1].extend(data[start:end])

    try:
        parser = MultipartParser(boundary, {"on_part_begin": begin, "on_header_value": head, "on_part_data": body})
        parser.write(content)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, f"a form of one file is expected, and options in the address; found: {error}") from error
    if not parts or b"filename" not in parts[0][0]:
        raise Problem(400, "a form without a file; send the image as a file, for example curl -F image=@photo.jpg")
    return bytes(parts[0][1])
