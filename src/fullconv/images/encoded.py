"""What readers of images take: a file, or the bytes of one that lies in a container (parquet cell, tar member)."""

from __future__ import annotations

import io
from pathlib import Path


class EncodedFile(io.BytesIO):
    """The bytes of an image file, for the readers of ``images``: they need its content, and its name in messages."""

    def __init__(self, content: bytes, where: str, suffix: str = "") -> None:
        super().__init__(content)
        self.where, self.suffix = where, suffix

    def __str__(self) -> str:
        return self.where


ImageFile = Path | EncodedFile
"""An encoded image, mask or array: a file of its own, or bytes."""


def content_of(file: ImageFile) -> bytes:
    """All of its bytes.

    Raises:
        OSError: it cannot be read.
    """
    return file.getvalue() if isinstance(file, EncodedFile) else file.read_bytes()
