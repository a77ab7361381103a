"""Roboflow's export "Semantic Segmentation Masks": images, masks and ``_classes.csv`` in one folder per split."""

from __future__ import annotations

from pathlib import Path

from fullconv.errors import DataError, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child
from fullconv.formats.read.pairing import holds_images, paired_within
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet
from fullconv.text import read_csv

LISTING, SUFFIX = "_classes.csv", "_mask"


def recognise_roboflow_masks(root: Path, description: Description, problems: Problems) -> Found | None:
    """``train/a.jpg``, ``train/a_mask.png`` and ``train/_classes.csv`` with lines ``Pixel Value, Class``."""
    folders = {split: folder for split, names in SPLIT_NAMES if (folder := child(root, names)) is not None}
    listings = {folder: names for folder in (*folders.values(), root) if (names := _classes(folder / LISTING))}
    if not listings:
        return None
    (first, values), *others = listings.items()
    for folder, names in others:
        if names != values:
            raise DataError(
                f"{folder / LISTING}: has other classes than {first / LISTING}; export the two as one version"
            )
    parts = {split: folder for split, folder in folders.items() if holds_images(folder)} or {"": root}
    splits = {split: items for split, folder in parts.items() if (items := paired_within(folder, problems, SUFFIX))}
    if not splits:
        raise DataError(f"{first}: no images found; expected a.jpg and a{SUFFIX}.png beside {LISTING}")
    reasons = [f"{LISTING} beside images and *{SUFFIX}.png: Roboflow's semantic masks, {plural(len(values), 'class')}"]
    encoding = MaskEncoding(
        values={value: i for i, value in enumerate(values)},
        void_values=() if 255 in values else None,
        named_in=(first / LISTING).relative_to(root).as_posix(),
    )
    return Found("roboflow_masks", reasons, splits, ClassSet(tuple(values.values())), encoding)


def _classes(listing: Path) -> dict[int, str]:
    """Names by pixel value, in the order of the values; empty for another kind of file."""
    if not listing.is_file():
        return {}
    rows = read_csv(listing)
    if not rows or rows[0][0].casefold() != "pixel value":
        return {}  # of a classification export: filename, ...
    try:
        found = {int(row[0]): row[1] for row in rows[1:]}
    except (ValueError, IndexError) as error:
        raise DataError(f"{listing}: expected lines 'Pixel Value, Class' ({error}); export it again") from error
    if not found or len(set(found.values())) < len(rows) - 1 or "" in found.values():
        raise DataError(f"{listing}: expected a different name for each pixel value; correct it")
    if not all(0 <= value <= 255 for value in found):
        raise DataError(f"{listing}: values from {min(found)} to {max(found)}; expected 0 to 255; correct it")
    return dict(sorted(found.items()))
