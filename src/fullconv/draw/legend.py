"""Text in pictures: its font, and the legend of colours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fullconv.palette import Colour

Font = ImageFont.FreeTypeFont
SMALLEST_TEXT = 13
TEXT_SHARE = 75
"""The longer side of a picture has so many times the height of its text, which then can be read when it is shrunk."""
NARROWEST = 240
"""A legend is at least so wide, however narrow its picture."""
EDGE = (160, 160, 160)
"""Around a box with a frame: it shows where a light one ends, and is no part of the frame."""
STRIPE = 4
"""Pixels across."""


class Entry(NamedTuple):
    """A box with its name; without a colour the box is empty, for what is see-through.

    ``instead`` is written where no font of the machine has the letters of ``name``; ``striped`` is what has no label.
    ``inside`` is how the colour looks in the picture, mixed with it: the box has it within a frame of the colour, as
    regions have within their outlines.
    """

    name: str
    colour: Colour | None
    instead: str = "?"
    striped: bool = False
    inside: Colour | None = None

    @classmethod
    def of(cls, name: str, colour: Colour | None, number: int, inside: Colour | None = None) -> Entry:
        """Of a class."""
        left = " (not painted)" if colour is None else ""
        return cls(name + left, colour, f"class {number}{left}", inside=inside if colour else None)


def font(size: int, text: str = "") -> Font:
    """DejaVu Sans, which matplotlib brings, or the font of this machine that has most of the letters of ``text``."""
    return ImageFont.truetype(_file(frozenset(text)), size)


@cache
def _file(letters: frozenset[str]) -> str:
    import matplotlib

    own = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    if not _missing(own, letters):
        return own
    from matplotlib.font_manager import fontManager

    real = [font.fname for font in fontManager.ttflist if "last resort" not in font.name.lower()]  # it has boxes only
    files = [own, *sorted(real)]
    return min(files, key=lambda file: len(_missing(file, letters)))


@cache
def _missing(file: str, letters: frozenset[str]) -> set[str]:
    from matplotlib.ft2font import FT2Font

    has = FT2Font(file).get_charmap()
    return {letter for letter in letters if not letter.isspace() and ord(letter) not in has}


def text_size(longer_side: int) -> int:
    """The height of text, in pixels, for a picture of this longer side."""
    return max(SMALLEST_TEXT, round(longer_side / TEXT_SHARE))


def legend(entries: Sequence[Entry], width: int, longer_side: int) -> Image.Image:
    """Boxes of colour with their names, line by line, at least :data:`NARROWEST` pixels wide; no rows without entries.

    Args:
        entries: in order.
        width: that is there, in pixels.
        longer_side: of the picture that it belongs to, which says how large the text is.
    """
    width, size = max(width, NARROWEST), text_size(longer_side)
    if not entries:
        return Image.new("RGB", (width, 0), "white")
    all_letters = frozenset("".join(entry.name for entry in entries))
    letters, unknown = font(size, "".join(all_letters)), _missing(_file(all_letters), all_letters)
    box, wide, gap, line = size, round(1.5 * size), size // 2, round(1.5 * size)
    written = [entry.instead if set(entry.name) & unknown else entry.name for entry in entries]
    names = [shortened(name, letters, width - wide - 3 * gap) for name in written]
    places, x, y = list[tuple[int, int]](), gap, gap
    for name in names:
        length = wide + gap + round(letters.getlength(name)) + gap
        if x > gap and x + length > width:
            x, y = gap, y + line
        places.append((x, y))
        x += length + gap
    picture = Image.new("RGB", (width, y + line), "white")
    pen, edge = ImageDraw.Draw(picture), max(1, size // 16)
    frame = edge + max(2, size // 8)
    for (x, y), name, entry in zip(places, names, entries, strict=True):
        pen.rectangle((x, y, x + wide, y + box), fill=entry.colour)
        if entry.striped:
            picture.paste(Image.fromarray(stripes(box, wide)), (x, y))
        if entry.inside is not None:
            pen.rectangle((x + frame, y + frame, x + wide - frame, y + box - frame), fill=entry.inside)
        pen.rectangle((x, y, x + wide, y + box), outline=EDGE if entry.inside else "black", width=edge)
        pen.text((x + wide + gap, y + box / 2), name, fill="black", font=letters, anchor="lm")
    return picture


def stripes(height: int, width: int) -> np.ndarray:
    """What stands for pixels without a label: uint8 ``[height, width, 3]``, diagonal, white and grey."""
    rows, columns = np.ogrid[:height, :width]
    dark = ((rows + columns) // STRIPE % 2)[..., None]
    return np.where(dark, np.uint8(176), np.full(3, 255, np.uint8))


def shortened(name: str, letters: Font, width: int) -> str:
    """The text, or as much of it as is no wider than ``width`` pixels, and an ellipsis."""
    if letters.getlength(name) <= width:
        return name
    kept = len(name)
    while kept > 1 and letters.getlength(name[:kept] + "…") > width:
        kept -= 1
    return name[:kept] + "…"
