"""Maps of probability as pictures: colours for 0 to 1, the same in every picture, and a bar that says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from fullconv.draw.legend import SMALLEST_TEXT, font, shortened, text_size
from fullconv.draw.overlays import Picture, as_rgb

SEEN = 0.5
"""From this probability on a map hides its image as far as it may; below less, in proportion, and at 0 not at all."""


def heat_colours(values: np.ndarray) -> Picture:
    """Probabilities ``[h, w]`` in viridis, 0 to 1."""
    from matplotlib import colormaps

    coloured: Picture = colormaps["viridis"](np.clip(values, 0, 1), bytes=True)[..., :3]
    return coloured


def heat_overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.6, title: str = "") -> Picture:
    """Probabilities ``[h, w]`` of the image's size in colours over it, with a bar of colours and a title below.

    Where the map is empty the image stays as it is. A ring is around the highest place, from :data:`SEEN` on.
    """
    base = as_rgb(image).astype(np.float32)
    strength = opacity * np.clip(values / SEEN, 0, 1)[..., None]
    mixed = Image.fromarray((base + strength * (heat_colours(values) - base)).round().astype(np.uint8))
    top, left = (int(place) for place in np.unravel_index(np.argmax(values), values.shape))
    side = max(mixed.size)
    pen = ImageDraw.Draw(mixed)
    rings = ((side // 40 + 3, "black"), (side // 40 + 2, "white")) if values.max() >= SEEN else ()
    for radius, colour in rings:
        box = (left - radius, top - radius, left + radius, top + radius)
        pen.ellipse(box, outline=colour, width=max(1, side // 500))
    return _above(mixed, _bar(mixed.width, text_size(side), title))


def heat_maps(
    image: np.ndarray, maps: Sequence[np.ndarray], titles: Sequence[str], height: int = 300, what: str = ""
) -> Picture:
    """The image and its maps side by side, places shown as squares, with the highest probability of each.

    Args:
        what: is probable there.
    """
    gap, header = 6, 22
    letters = font(SMALLEST_TEXT, "".join(titles))
    width = max(1, round(height * image.shape[1] / image.shape[0]))
    panels = [Image.fromarray(np.ascontiguousarray(as_rgb(image))).resize((width, height), Image.Resampling.BILINEAR)]
    panels += [Image.fromarray(heat_colours(m)).resize((width, height), Image.Resampling.NEAREST) for m in maps]
    sheet = Image.new("RGB", (gap + len(panels) * (width + gap), header + height + gap), "white")
    pen = ImageDraw.Draw(sheet)
    highest = [f"{title}: at most {values.max():.2f}" for title, values in zip(titles, maps, strict=True)]
    for column, (title, panel) in enumerate(zip(("image", *highest), panels, strict=True)):
        left = gap + column * (width + gap)
        pen.text((left, 4), shortened(title, letters, width), fill="black", font=letters)
        sheet.paste(panel, (left, header))
    return _above(sheet, _bar(sheet.width, SMALLEST_TEXT, f"probability of {what}" if what else "probability"))


def _bar(width: int, size: int, title: str) -> Image.Image:
    """The title, and the colours of 0 to 1 with their numbers."""
    width, gap = max(width, 20 * size), size // 2
    letters = font(size, title)
    picture = Image.new("RGB", (width, 4 * size + 2 * gap), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((gap, gap), shortened(title, letters, width - 2 * gap), fill="black", font=letters)
    left, right, top = 2 * size, min(width - 2 * size, 30 * size), gap + round(1.4 * size)
    ramp = np.linspace(0, 1, right - left)[None].repeat(size, 0)
    picture.paste(Image.fromarray(heat_colours(ramp)), (left, top))
    for share in (0, 0.25, 0.5, 0.75, 1):
        place = left + share * (right - 1 - left)
        pen.line((place, top + size, place, top + size + gap // 2), fill="black", width=max(1, size // 13))
        pen.text((place, top + size + gap // 2 + 1), f"{share:g}", fill="black", font=letters, anchor="ma")
    return picture


def _above(picture: Image.Image, below: Image.Image) -> Picture:
    both = Image.new("RGB", (max(picture.width, below.width), picture.height + below.height), "white")
    both.paste(picture, (0, 0))
    both.paste(below, (0, picture.height))
    return np.asarray(both)
