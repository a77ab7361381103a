"""The image of a request: its bytes within the limit, told by content, its size from the header."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from fullconv.errors import DataError
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import image_size
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


async def body_of(request: Request, limits: Limits) -> bytes:
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
        async with asyncio.timeout(limits.timeout):
            async for block in request.stream():
                content += block
                if len(content) > limits.bytes:
                    raise too_large
    except TimeoutError:
        raise Problem(408, f"the request took more than {limits.timeout:g} seconds to arrive") from None
    except ClientDisconnect:
        raise Problem(400, "the request ended before its last byte") from None
    return bytes(content)


async def image_of(request: Request, limits: Limits) -> tuple[bytes, tuple[int, int]]:
    """The image that is the body, or the one file of a form, and its height and width.

    Raises:
        Problem: as :func:`body_of`; 415, no image of the formats that are read; 413, more pixels than the limit;
            422, a header that cannot be read.
    """
    content = await body_of(request, limits)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        content = await _of_form(request, content)
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
        return image_size(EncodedFile(content, "the image"), limits.pixels)
    except DataError as error:
        raise Problem(413 if "more than the limit" in str(error) else 422, str(error)) from error
    except Exception as error:  # whatever a broken header makes of the libraries that read it
        raise Problem(422, f"the image: its header cannot be read ({type(error).__name__}: {error})") from error


async def _of_form(request: Request, content: bytes) -> bytes:
    async def once() -> AsyncGenerator[bytes, None]:
        yield content
        yield b""

    try:
        form = await MultiPartParser(request.headers, once(), max_files=1, max_fields=0).parse()
    except (MultiPartException, KeyError, ValueError, AttributeError) as error:
        why = getattr(error, "message", "") or type(error).__name__
        raise Problem(400, f"a form of one file is expected and options in the address, found: {why}") from error
    for value in form.values():
        if not isinstance(value, str):
            try:
                return await value.read()
            finally:
                await form.close()
    raise Problem(400, "a form without a file; send the image as a file, for example curl -F image=@photo.jpg")
