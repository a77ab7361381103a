"""A photograph in the place of a mask, told by what it holds."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fullconv.images.encoded import ImageFile
from fullconv.images.mask_file import MaskFile, UnfitMask, packed

LEAST_VALUES = 100
"""Different values of brightness that a photograph has at least; most have more than 200."""
LEAST_COLOURS = 1000
"""Different colours that a photograph has at least, or every third pixel its own; classes are fewer."""
MOSTLY = 0.5
"""The share of the pixels, of no class, above which what fits no class may be a photograph."""
LARGEST_VALUE = 65535
"""Of a photograph of 16 bits; numbers of objects may be larger."""
FEW, MOST_IN_FEW = 8, 0.4
"""Of a photograph, so few values hold no more than this share of the pixels: of 21 photographs 0.31 at most; of masks
that JPEG or smoothing spoilt 0.44 at least."""
LEAST_ROUGH = 0.6
"""The share of neighbouring pixels that differ in a photograph: of those 0.67 at least; of masks mostly below 0.5."""
PUT_MASK = "put the image's mask in its place, or leave the pair out"


class Photograph(UnfitMask):
    """A photograph where a mask is expected."""


def is_photograph(mask: MaskFile) -> bool:
    """Whether a file's values are as many, as evenly spread and as rough as a photograph's, in grey or in colour."""
    if mask.kind == "planes":
        return False
    if mask.kind == "colour" and not _many_colours(mask):
        return False
    plane = np.asarray(Image.fromarray(mask.stored).convert("L")) if mask.kind == "colour" else mask.stored
    values, counts = np.unique(plane, return_counts=True)
    if len(values) < LEAST_VALUES or values[0] < 0 or values[-1] > LARGEST_VALUE:
        return False
    if np.sort(counts)[-FEW:].sum() > MOST_IN_FEW * plane.size:
        return False
    return roughness(plane) >= LEAST_ROUGH


def roughness(plane: np.ndarray) -> float:
    """The share of neighbouring pixels that differ, of values ``[height, width]``."""
    return float((plane[:, 1:] != plane[:, :-1]).mean()) if plane.shape[1] > 1 else 0.0


def _many_colours(mask: MaskFile) -> bool:
    """Whether there are too many colours for classes; of three equal channels nobody can say."""
    if mask.grey_values() is not None:
        return True
    pixels = mask.stored.shape[0] * mask.stored.shape[1]
    return len(np.unique(packed(mask.stored))) >= min(LEAST_COLOURS, pixels // 3)


def refuse_photograph(mask: MaskFile) -> None:
    """For a file that holds what stands for no class: say what it is, if that is why.

    Raises:
        Photograph: it is one.
    """
    if is_photograph(mask):
        raise Photograph(f"{mask.path}: a photograph, not a mask; {PUT_MASK}")


def has_photographs_colours(pixels: np.ndarray) -> bool:
    """Whether the pixels of each colour are those of a photograph, also of a smooth or dark one: many colours, and but
    for the most frequent (a border, the sky) none in wide areas."""
    rest = np.sort(pixels)[:-1]
    many = len(pixels) >= min(LEAST_COLOURS, pixels.sum() // 3)
    return bool(many and rest[-FEW:].sum() <= MOST_IN_FEW * rest.sum())


def of_no_class(path: ImageFile, colours: int) -> Photograph:
    """The error about a file of so many colours that stand for no class."""
    what = f"holds {colours:,} colours of no class, as a photograph does and a mask does not"
    return Photograph(f"{path}: {what}; {PUT_MASK}")


def refuse_unnamed_colours(mask: MaskFile) -> None:
    """For an RGB file where no colour is named: say what it is, if it is a photograph.

    Raises:
        Photograph: it is one.
    """
    refuse_photograph(mask)
    _, pixels = np.unique(packed(mask.stored), return_counts=True)
    if has_photographs_colours(pixels):
        raise of_no_class(mask.path, len(pixels))


def refuse_strange_colours(mask: MaskFile, stray: np.ndarray) -> None:
    """For a file with the pixels whose colour stands for no class: also half white, blurred, dark or enlarged it is
    a photograph, by how many such colours there are on most of it.

    Raises:
        Photograph: it is one.
    """
    if stray.mean() <= MOSTLY:
        return
    refuse_photograph(mask)
    count = len(np.unique(packed(mask.stored[stray]))) if mask.kind == "colour" else 0
    if count >= LEAST_COLOURS:
        raise of_no_class(mask.path, count)
