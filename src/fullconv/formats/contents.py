"""What mask files hold, without their pixels: the different numbers and colours."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.errors import DataError, first_few, plural
from fullconv.formats.problems import Problems
from fullconv.images.encoded import ImageFile
from fullconv.images.encoding import MaskEncoding
from fullconv.images.mask_file import MaskFile, packed, unpacked
from fullconv.images.mask_reading import read_mask
from fullconv.images.photograph import Photograph, is_photograph, refuse_photograph
from fullconv.spec import Colour

PROBED_MASKS = 50


@dataclass(frozen=True)
class Contents:
    """What one mask file holds.

    Attributes:
        mask: the file, without its pixels.
        values: the different numbers of an index mask (or of three equal channels).
        colours: the colours they are shown in, packed; of an RGB mask its own.
        pixels: of an RGB mask, the pixels of each colour.
        covered: of planes, whether every pixel is in one of them.
        has: whether there are transparent pixels that count, pixels without a number, pixels of GDAL's no data.
    """

    mask: MaskFile
    values: tuple[int | float, ...] = ()
    colours: tuple[int, ...] | None = None
    pixels: tuple[int, ...] = ()
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
        return Contents(bare, values, tuple(keys.tolist()), tuple(counts.tolist()), has=has)
    shades = mask.shades()
    return Contents(bare, values, None if shades is None else tuple(shades[list(values)].tolist()), has=has)


def _unique_counts(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers of ``[n]``, rising, and how many there are of each; fast where neighbours are equal."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    keys, places = np.unique(numbers[starts], return_inverse=True)
    lengths = np.diff(starts, append=len(numbers))
    return keys, np.bincount(places, weights=lengths, minlength=len(keys)).astype(np.int64)


def _unique(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.bincount(values.ravel(), minlength=256)) if values.dtype == np.uint8 else np.unique(values)


def inspect_masks(
    masks: Sequence[Path], problems: Problems, most: int = PROBED_MASKS, needed: bool = True,
    known: tuple[MaskEncoding, int] | None = None,
) -> list[Contents]:  # fmt: skip
    """What evenly spaced masks hold, at most ``most``.

    Those that cannot be read, and photographs among them, are left out; they are problems only where they are
    ``needed`` to open the data set. Photographs alone are a problem of the whole folder. Grey values without a name may
    be ids, however many: that is a question.

    Args:
        masks: the files.
        problems: takes up what is wrong with them.
        most: so many are read.
        needed: whether those that cannot be read are problems.
        known: how masks are read, and how many classes there are, where that is declared: what is explained by it is no
            photograph.
    """

    def contents(path: Path) -> tuple[Contents, bool] | DataError:
        try:
            mask = read_mask(path)
            grey = mask.grey_values()
            if known is None and grey is not None:
                return summed_up(mask), is_photograph(mask)
            if not _explained(mask, grey, known):
                refuse_photograph(mask)
            return summed_up(mask), False
        except DataError as error:
            return error

    chosen = masks[:: max(1, -(-len(masks) // most))]
    with ThreadPoolExecutor() as pool:
        found = list(zip(chosen, pool.map(contents, chosen), strict=True))
    wrong = [(path, error) for path, error in found if isinstance(error, DataError)]
    if len(chosen) > 1 and all(isinstance(error, Photograph) for _, error in found):
        problems.report(
            "photographs",
            f"{chosen[0].parent}: holds photographs ({first_few([path.name for path in chosen])}), and no masks",
            "put images into images/ and masks into masks/, or name the folders in dataset.yaml (images: ..., "
            "masks: ...)",
        )
    elif needed:
        for path, error in wrong:
            problems.caught("photograph" if isinstance(error, Photograph) else "unreadable", error, [path])
    read = [one for _, one in found if not isinstance(one, DataError)]
    doubtful = [one for one, doubt in read if doubt]
    if doubtful and needed:
        _ask_about_photographs(doubtful, len(read), problems)
    certain = [one for one, doubt in read if not doubt]
    return certain or doubtful


def _explained(mask: MaskFile, grey: np.ndarray | None, known: tuple[MaskEncoding, int] | None) -> bool:
    """Whether at least half of the pixels stand for a class, or are void, by what is declared."""
    if known is None or mask.kind == "planes":
        return mask.kind == "planes"
    encoding, count = known
    colours = {int(packed(np.array(colour))) for colour in (*encoding.colours, *encoding.void_colours)}
    if grey is None:
        return bool(np.isin(packed(mask.stored), list(colours)).mean() >= 0.5)
    void = (255, 65535) if encoding.void_values is None else encoding.void_values
    shades = {colour & 255 for colour in colours if colour == (colour & 255) * 0x010101}
    return bool(np.isin(grey, [*(encoding.values or range(count)), *void, *shades]).mean() >= 0.5)


def _ask_about_photographs(doubtful: Sequence[Contents], count: int, problems: Problems) -> None:
    """Grey values as many and as rough as a photograph's may be classes that nobody named."""
    paths = [Path(found.path) for found in doubtful]
    values = max(len(found.values) for found in doubtful)
    one = len(paths) == 1
    held = f"{paths[0]}: holds {values} values" if one else (
        f"{paths[0].parent}: {len(paths)} of {plural(count, 'mask')} hold up to {values} values each "
        f"({first_few([path.name for path in paths])})"
    )  # fmt: skip
    what = "is it one, or a mask" if one else "are they photographs, or masks"
    problems.report(
        "undecided",
        f"{held}, as many and as mixed as in a photograph; {what} of so many classes?",
        f"if {'it is one' if one else 'photographs'}, put the masks in their place, or leave the pairs out; if not, "
        "name the classes in classes.txt, one a line",
        paths,
    )
