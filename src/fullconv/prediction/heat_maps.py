"""``heatmap``: where a synset is, for any number of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fullconv.errors import DataError, UsageError, first_few
from fullconv.files import replacing
from fullconv.heatmapper import Combination, HeatMap, HeatMapper
from fullconv.images.write import write_mask
from fullconv.prediction.files import find_images
from fullconv.spec import ClassSet


def heatmap(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    synset: str | Sequence[str],
    out: str | os.PathLike[str] | None = None,
    *,
    mapper: HeatMapper | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    combine: Combination = "geometric",
    flip: bool = False,
    threshold: float = 0.0,
    unreadable: Callable[[DataError], None] | None = None,
    progress: Callable[[Path, HeatMap], None] | None = None,
    **options: Any,
) -> list[HeatMap]:
    """Heat maps of a synset in images, written under ``out`` if it is given.

    Args:
        images: files, folders or globs.
        synset: WordNet ids (``n02084071``) or words (``dog``); several are looked for together.
        out: gets ``<stem>.png`` (image | each size | combined), ``<stem>.overlay.png`` and ``<stem>.npz`` (arrays
            ``combined`` and one ``HxW`` per size).
        mapper: a classifier to use again; by default one is loaded.
        sizes, combine, flip: as for :meth:`fullconv.heatmapper.HeatMapper.heat`.
        threshold: above 0, also write ``<stem>.labels.png``: where the combined map reaches this share of its maximum.
        unreadable: called for each file that cannot be read, and the rest are done; without it the error is raised.
        progress: called after each image.
        **options: for :meth:`fullconv.heatmapper.HeatMapper.load`.

    Raises:
        UsageError, DataError: as there, or two images of one name.
    """
    paths = find_images([images] if isinstance(images, (str, os.PathLike)) else images)
    stems = [path.stem for path in paths]
    twice = [str(path) for path in paths if stems.count(path.stem) > 1]
    if twice and out is not None:
        raise UsageError(f"{first_few(twice)} would write the same files under {out}; give them in separate calls")
    if not 0 <= threshold < 1:
        raise UsageError(f"threshold is a share of the maximum, 0 to 1, found {threshold}")
    mapper = mapper or HeatMapper.load(**options)
    result = []
    for path in paths:
        try:
            found = mapper.heat(path, synset, sizes=sizes, combine=combine, flip=flip)
        except DataError as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        if out is not None:
            _write(found, Path(out), path.stem, threshold)
        result.append(found)
        if progress is not None:
            progress(path, found)
    return result


def parse_size(text: str) -> tuple[int, int]:
    """``400x640`` -> ``(400, 640)``.

    Raises:
        UsageError: it is none.
    """
    height, separator, width = text.lower().partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise UsageError(f"a size is HEIGHTxWIDTH such as 400x640, found {text!r}")
    return int(height), int(width)


def _write(found: HeatMap, out: Path, stem: str, threshold: float) -> None:
    for name, picture in ((f"{stem}.png", found.picture()), (f"{stem}.overlay.png", found.overlay())):
        with replacing(out / name) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")
    with replacing(out / f"{stem}.npz") as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {f"{h}x{w}": values for (h, w), values in found.maps.items()}
        np.savez_compressed(file, combined=found.combined, **arrays)
    if threshold:
        names = ("background", found.synsets[0].words.split(",")[0])
        write_mask(out / f"{stem}.labels.png", found.labels(threshold), ClassSet(names))
