"""Images that a model with ``resize`` shows its network at a far smaller or larger scale than those it learned from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fullconv.spec import Preprocessing

MUCH = 2.0
"""So many times smaller or larger is worth saying: a random zoom of training goes about as far."""
IMAGE_SIZE = "image_size"
"""In the provenance of a model with ``resize``: height and width of the images that it learned from."""
Sizes = Counter[tuple[int, int]]
"""How many images there are of each ``(height, width)``."""


def middle_size(sizes: Sizes) -> list[int]:
    """Height and width of the image in the middle, of all by their pixels."""
    ordered = sorted(sizes.elements(), key=lambda size: size[0] * size[1])
    return list(ordered[len(ordered) // 2])


def resize_note(preprocessing: Preprocessing, provenance: Mapping[str, Any], sizes: Sizes) -> str:
    """What to know of images that are brought to one size, in a line; empty where none is far from what was learned.

    Where the provenance does not know the images of training, ``resize`` itself stands for their size.
    """
    if preprocessing.resize is None:
        return ""
    learned = _learned(provenance)
    height, width = learned or preprocessing.resize
    scales = {size: math.sqrt(size[0] * size[1] / (height * width)) for size in sizes}
    shrunk = sum(sizes[size] for size, scale in scales.items() if scale > MUCH)
    enlarged = sum(sizes[size] for size, scale in scales.items() if scale * MUCH < 1)
    of = "the scale that the model learned from" if learned else "the full scale"
    said = []
    if shrunk:
        how = f"at less than half of {of}"
        cut = f"cut such images into pieces of about {height}x{width}, or train without --resize"
        said.append(f"{_brought(shrunk, sizes, preprocessing.resize)}, {how}: small things are lost; {cut}")
    if enlarged:
        how = f"at more than twice {of}"
        why = "such images may look unlike what it knows; train with them, or without --resize"
        said.append(f"{_brought(enlarged, sizes, preprocessing.resize)}, {how}: {why}")
    return ". ".join(said)


def _learned(provenance: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of the images of training, where the model's file says so."""
    size = provenance.get(IMAGE_SIZE)
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
        return size[0], size[1]
    return None


def _brought(some: int, sizes: Sizes, resize: tuple[int, int]) -> str:
    every = sizes.total()
    which = "the image is" if every == 1 else f"{some} of {every} images {'is' if some == 1 else 'are'}"
    return f"{which} brought to {resize[0]}x{resize[1]} (height x width)"
