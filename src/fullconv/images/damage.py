"""What is said of a file that cannot be decoded."""

from __future__ import annotations

import re

from fullconv.errors import DataError
from fullconv.images.encoded import ImageFile

CUT_OFF = re.compile(
    r"truncat|too few|end of (file|data|stream)|unexpected end|premature|not enough|\beof\b"
    r"|\d+ of \d+ bytes|failed to read \d+ bytes",
    re.I,
)
"""What a library says of a file that ends too early."""
COPY_AGAIN = "copy or save it again"
LONGEST = 200
"""Characters of a library's words that are repeated."""


def damaged(where: ImageFile | str, problem: object) -> DataError:
    """The error of one line about a file or a part of one; ``problem`` is what the library said."""
    return DataError(f"{where}: {damage(problem)}; {COPY_AGAIN}")


def damage(problem: object) -> str:
    """What is wrong with a file, by what the library said."""
    reason = " ".join(str(problem).split())[:LONGEST]
    if CUT_OFF.search(reason):
        return "truncated, it ends too early"
    return f"damaged ({reason})" if reason else "damaged"
