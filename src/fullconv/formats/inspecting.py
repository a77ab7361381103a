"""Some of a data set's mask files, read for what they hold; those that cannot be masks are left out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fullconv.errors import DataError, first_few, plural
from fullconv.formats.contents import Contents, summed_up
from fullconv.formats.odd_masks import odd_colours, odd_ids
from fullconv.formats.problems import Problems
from fullconv.images.encoding import MaskEncoding
from fullconv.images.mask_file import MaskFile, packed
from fullconv.images.mask_reading import read_mask
from fullconv.images.photograph import Photograph, is_photograph, refuse_photograph

PROBED_MASKS = 50


def inspect_masks(
    masks: Sequence[Path], problems: Problems, most: int = PROBED_MASKS, needed: bool = True,
    known: tuple[MaskEncoding, int] | None = None,
) -> list[Contents]:  # fmt: skip
    """What evenly spaced masks hold, at most ``most``.

    Those that cannot be read, photographs among them, and files unlike all others
    (:mod:`fullconv.formats.odd_masks`) are left out; they are problems only where they are ``needed`` to open the data
    set. Photographs alone are a problem of the whole folder. Grey values without a name may be ids, however many: that
    is a question.

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
    read = [one for _, one in found if not isinstance(one, DataError)]
    odd = _odd([one for one, _ in read], known)
    wrong += odd.items()
    read = [(one, doubt) for one, doubt in read if Path(one.path) not in odd]
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
    doubtful = [one for one, doubt in read if doubt]
    if doubtful and needed:
        _ask_about_photographs(doubtful, len(read), problems)
    certain = [one for one, doubt in read if not doubt]
    return certain or doubtful


def _odd(read: Sequence[Contents], known: tuple[MaskEncoding, int] | None) -> dict[Path, DataError]:
    """What is wrong with files that are unlike most others, where nothing that is declared explains them."""
    found = odd_ids(read) if known is None else []
    if known is None or not known[0].colours:
        found += odd_colours(read)
    return {Path(one.path): error for one, error in found}


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
