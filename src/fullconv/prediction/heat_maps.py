"""``heatmap``: where a synset is, for any number of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fullconv.errors import DataError, UsageError
from fullconv.files import replacing
from fullconv.heatmapper import Combination, HeatMap, HeatMapper
from fullconv.images.write import write_mask
from fullconv.prediction.inputs import Input, find_inputs
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
    done: Callable[[int, int], None] | None = None,
    part: Callable[[Path, int, int], None] | None = None,
    **options: Any,
) -> list[HeatMap]:
    """Heat maps of a synset in images, written under ``out`` if it is given.

    Args:
        images: files, folders or globs.
        synset: WordNet ids (``n02084071``) or words (``dog``); several are looked for together.
        out: gets, with the subfolders of the input, ``<stem>.png`` (image | each size | combined),
            ``<stem>.overlay.png`` and ``<stem>.npz`` (arrays ``combined`` and one ``HxW`` per size).
        mapper: a classifier to use again; by default one is loaded.
        sizes, combine, flip: as for :meth:`fullconv.heatmapper.HeatMapper.heat`.
        threshold: above 0, also write ``<stem>.labels.png``: where the combined map reaches this share of its maximum.
        unreadable: called for each file that cannot be read, and the rest are done; without it the error is raised.
        progress: called after each image that can be read.
        done: called before each image, and at the end, with how many are done, and of how many.
        part: called before the first size of an image and after each, with its path, the pixels that are done, and of
            how many.
        **options: for :meth:`fullconv.heatmapper.HeatMapper.load`.

    Raises:
        UsageError, DataError: as there.
    """
    inputs = find_inputs(
        [images] if isinstance(images, (str, os.PathLike)) else images, None if out is None else Path(out)
    )
    if not 0 <= threshold < 1:
        raise UsageError(f"threshold is a share of the maximum, 0 to 1, found {threshold}")
    mapper = mapper or HeatMapper.load(**options)
    result = []
    for number, image in enumerate(inputs):
        if done is not None:
            done(number, len(inputs))
        try:
            told = partial(part, image.path) if part is not None else None
            found = mapper.heat(image.path, synset, sizes=sizes, combine=combine, flip=flip, told=told)
        except DataError as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        if out is not None:
            _write(found, image, Path(out), threshold)
        result.append(found)
        if progress is not None:
            progress(image.path, found)
    if done is not None:
        done(len(inputs), len(inputs))
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


def _write(found: HeatMap, image: Input, out: Path, threshold: float) -> None:
    for ending, picture in ((".png", found.picture()), (".overlay.png", found.overlay())):
        with replacing(image.file(out, ending)) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")
    with replacing(image.file(out, ".npz")) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {f"{h}x{w}": values for (h, w), values in found.maps.items()}
        np.savez_compressed(file, combined=found.combined, **arrays)
    if threshold:
        names = ("background", found.synsets[0].words.split(",")[0])
        write_mask(image.file(out, ".labels.png"), found.labels(threshold), ClassSet(names))
