"""Writing label maps as files that any program shows in the classes' colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.files import replacing
from fullconv.spec import ClassSet, Colour

VOID_COLOUR = (224, 224, 192)


def mask_image(labels: np.ndarray, classes: ClassSet, void: Colour = VOID_COLOUR) -> Image.Image:
    """Ids ``[height, width]`` as a palette image (16-bit grey for more than 255 classes).

    ``void`` is the colour of every value that is no class.
    """
    if len(classes) > 255:
        return Image.fromarray(labels.astype(np.uint16, copy=False))
    image = Image.fromarray(labels.astype(np.uint8, copy=False))
    colours = [*classes.palette, *[void] * (256 - len(classes))]
    image.putpalette([value for colour in colours for value in colour])
    return image


def write_mask(path: str | Path, labels: np.ndarray, classes: ClassSet, void: Colour = VOID_COLOUR) -> None:
    """Write ids as a PNG of :func:`mask_image`."""
    with replacing(path) as temporary:
        mask_image(labels, classes, void).save(temporary, format="PNG")
