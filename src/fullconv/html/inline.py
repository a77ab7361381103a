"""What every page of ours is made of: one file without scripts, whose pictures are within."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

import numpy as np
from PIL import Image

from fullconv.html.style import STYLE


def document(title: str, parts: Iterable[str]) -> str:
    """A page of the parts that are not empty; ``title`` is text."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body><main>\n" + "\n".join(filter(None, parts)) + "\n</main></body></html>\n"
    )


def data_uri(picture: np.ndarray, lossless: bool = False) -> str:
    """A picture uint8 ``[h, w, 3]`` as the value of an ``src`` attribute: JPEG, or PNG."""
    file = io.BytesIO()
    if lossless:
        Image.fromarray(picture).save(file, "PNG", optimize=True)
    else:
        Image.fromarray(picture).save(file, "JPEG", quality=85)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode("ascii")
