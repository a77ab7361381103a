"""What mask files hold, without their pixels: the different numbers and colours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from fullconv.images.encoded import ImageFile
from fullconv.images.mask_file import MaskFile, packed, unpacked
from fullconv.images.mask_reading import read_mask
from fullconv.images.photograph import roughness
from fullconv.spec import Colour


@dataclass(frozen=True)
class Contents:
    """What one mask file holds.

    Attributes:
        mask: the file, without its pixels.
        values: the different numbers of an index mask (or of three equal channels).
        colours: the colours they are shown in, packed; of an RGB mask its own.
        pixels: of an RGB mask, the pixels of each colour.
        rough: of an index mask, the share of neighbouring pixels that differ.
        covered: of planes, whether every pixel is in one of them.
        has: whether there are transparent pixels that count, pixels without a number, pixels of GDAL's no data.
    """

    mask: MaskFile
    values: tuple[int | float, ...] = ()
    colours: tuple[int, ...] | None = None
    pixels: tuple[int, ...] = ()
    rough: float = 0.0
    planes: int = 0
    covered: bool = False
    has: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        return str(self.mask.path)

    def shown(self) -> dict[int | float, int]:
        """The colour of each value, packed."""
        return dict(zip(self.values, self.colours, strict=True)) if self.colours is not None else {}

    def stated(self) -> dict[int, Colour]:
        """The colour of each used value of a palette; nothing where all entries are of one colour."""
        palette = self.mask.palette
        if palette is None or len(np.unique(palette, axis=0)) < 2:
            return {}
        return {int(value): unpacked(colour) for value, colour in self.shown().items()}


def contents_of(path: ImageFile) -> Contents:
    """What a mask file holds.

    Raises:
        DataError: as :func:`fullconv.images.mask_reading.read_mask`.
    """
    return summed_up(read_mask(path))


def summed_up(mask: MaskFile) -> Contents:
    """What a mask file holds, its pixels left behind."""
    present = {"transparent": mask.transparent is not None and not mask.keyed, "missing": mask.missing is not None,
               "no data": mask.no_data is not None and bool((mask.stored == mask.no_data).any())}  # fmt: skip
    has = frozenset(name for name, there in present.items() if there)
    bare = dataclasses.replace(mask, stored=np.zeros((0, 0), np.uint8), transparent=None, missing=None)
    if mask.kind == "planes":
        return Contents(bare, planes=len(mask.stored), covered=bool(mask.stored.any(0).all()), has=has)
    grey = mask.grey_values()
    values = tuple(value.item() for value in _unique(grey)) if grey is not None else ()
    if mask.kind == "colour":
        keys, counts = _unique_counts(packed(mask.stored).ravel())
        rough = 0.0 if grey is None else roughness(grey)
        return Contents(bare, values, tuple(keys.tolist()), tuple(counts.tolist()), rough, has=has)
    shades = mask.shades()
    shown = None if shades is None else tuple(shades[list(values)].tolist())
    return Contents(bare, values, shown, rough=roughness(mask.stored), has=has)


def _unique_counts(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers of ``[n]``, rising, and how many there are of each; fast where neighbours are equal."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    keys, places = np.unique(numbers[starts], return_inverse=True)
    lengths = np.diff(starts, append=len(numbers))
    return keys, np.bincount(places, weights=lengths, minlength=len(keys)).astype(np.int64)


def _unique(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.bincount(values.ravel(), minlength=256)) if values.dtype == np.uint8 else np.unique(values)
