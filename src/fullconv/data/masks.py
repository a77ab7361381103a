"""Writing label maps as files that any program shows in the classes' colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.files import replacing
from fullconv.spec import ClassSet, Colour

VOID_COLOUR = (224, 224, 192)


def write_mask(path: str | Path, labels: np.ndarray, classes: ClassSet, void: Colour = VOID_COLOUR) -> None:
    """Write ids ``[height, width]`` as a palette PNG (a 16-bit PNG for more than 255 classes).

    ``void`` is the colour of every value that is no class.
    """
    if len(classes) > 255:
        image = Image.fromarray(labels.astype(np.uint16))
    else:
        image = Image.fromarray(labels.astype(np.uint8))
        colours = [*classes.palette, *[void] * (256 - len(classes))]
        image.putpalette([value for colour in colours for value in colour])
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")
