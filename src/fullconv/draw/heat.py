"""Maps of probability as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fullconv.draw.overlays import Picture, as_rgb


def heat_colours(values: np.ndarray) -> Picture:
    """A map ``[h, w]`` in viridis, its own minimum to maximum."""
    from matplotlib import colormaps

    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low if high > low else 1)
    coloured: Picture = (colormaps["viridis"](scaled)[..., :3] * 255).round().astype(np.uint8)
    return coloured


def heat_overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.6) -> Picture:
    """A map ``[h, w]`` of the image's size, in colours over it."""
    base = as_rgb(image).astype(np.float32)
    mixed: Picture = (base + opacity * (heat_colours(values) - base)).round().astype(np.uint8)
    return mixed


def heat_maps(image: np.ndarray, maps: Sequence[np.ndarray], titles: Sequence[str], height: int = 300) -> Picture:
    """The image and its maps side by side, places shown as squares."""
    gap, header = 6, 22
    font = ImageFont.load_default(13)
    width = max(1, round(height * image.shape[1] / image.shape[0]))
    panels = [Image.fromarray(as_rgb(image)).resize((width, height), Image.Resampling.BILINEAR)]
    panels += [Image.fromarray(heat_colours(m)).resize((width, height), Image.Resampling.NEAREST) for m in maps]
    sheet = Image.new("RGB", (gap + len(panels) * (width + gap), header + height + gap), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (title, panel) in enumerate(zip(("image", *titles), panels, strict=True)):
        left = gap + column * (width + gap)
        pen.text((left, 4), title, fill="black", font=font)
        sheet.paste(panel, (left, header))
    return np.asarray(sheet)
