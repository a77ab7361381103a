"""The values of images, counted band by band: does the range spread them over the levels that a network sees?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.values import stored_image
from fullconv.images.values import Band, BoolArray, bands_of, blank_of
from fullconv.spec import Values

FEWEST_LEVELS = 64
"""A range is badly chosen that brings all but a thousandth of a band's values into fewer neighbouring levels."""
LEAST_REPEATED = 0.001
"""A band's lowest or highest value may stand for no data where it has a larger share of the values than this."""
MOST_CLIPPED = 0.01
"""Or that cuts off a larger share of them."""
BARS = "▁▂▃▄▅▆▇█"
MOST_BANDS = 8
"""Bands with a line of their own on the terminal."""


@dataclass
class ValueCounts:
    """Counts of the values of some images, per band.

    Attributes:
        levels: int64 ``[bands, 256]``, of the bytes that a network sees.
        below, above: int64 ``[bands]``: values that the range cuts off.
        nothing: int64 ``[bands]``: values that are nodata or not finite.
        lowest, highest: float64 ``[bands]``, of the stored values.
        at_lowest, at_highest: int64 ``[bands]``: how many values are equal to these.
        blank: pixels that hold nothing in any band.
        pixels: all of them.
    """

    levels: np.ndarray
    below: np.ndarray
    above: np.ndarray
    nothing: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    at_lowest: np.ndarray
    at_highest: np.ndarray
    blank: int = 0
    pixels: int = 0

    @classmethod
    def none(cls, bands: int) -> ValueCounts:
        """Of no image."""
        below, above, nothing, at_lowest, at_highest = (np.zeros(bands, np.int64) for _ in range(5))
        levels = np.zeros((bands, 256), np.int64)
        return cls(
            levels, below, above, nothing, np.full(bands, np.inf), np.full(bands, -np.inf), at_lowest, at_highest
        )

    def add(self, other: ValueCounts) -> None:
        """Count some more."""
        self.levels += other.levels
        self.below += other.below
        self.above += other.above
        self.nothing += other.nothing
        lowest, highest = np.minimum(self.lowest, other.lowest), np.maximum(self.highest, other.highest)
        self.at_lowest = self.at_lowest * (self.lowest == lowest) + other.at_lowest * (other.lowest == lowest)
        self.at_highest = self.at_highest * (self.highest == highest) + other.at_highest * (other.highest == highest)
        self.lowest, self.highest = lowest, highest
        self.blank += other.blank
        self.pixels += other.pixels

    def reached(self, band: int) -> int:
        """How many of the 256 levels some value of a band becomes."""
        return int((self.levels[band] > 0).sum())

    def spread(self, band: int, but: Sequence[int] = ()) -> int:
        """How many neighbouring levels hold all but a thousandth of a band's values, those of some levels left out."""
        levels = self.levels[band].copy()
        levels[list(but)] = 0
        sums = np.cumsum(levels)
        if not sums[-1]:
            return 0
        first, last = np.searchsorted(sums, (0.0005 * sums[-1], 0.9995 * sums[-1]), side="left")
        return int(last - first + 1)

    def clipped(self, band: int) -> float:
        """The share of a band's values that the range cuts off."""
        return float(self.below[band] + self.above[band]) / max(int(self.levels[band].sum()), 1)

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready, a row per band."""
        return [
            {
                "lowest": float(self.lowest[band]) if self.levels[band].any() else None,
                "highest": float(self.highest[band]) if self.levels[band].any() else None,
                "levels": self.reached(band),
                "below": int(self.below[band]), "above": int(self.above[band]), "nothing": int(self.nothing[band]),
                "histogram": self.levels[band].tolist(),
            }
            for band in range(len(self.levels))
        ]  # fmt: skip


def read_with_values(spec: DatasetSpec, item: Item) -> tuple[np.ndarray, BoolArray | None, ValueCounts]:
    """An item's image as a network sees it, where it holds nothing, and its values counted.

    Raises:
        DataError: it cannot be read.
    """
    if spec.values is None or not spec.values.range:
        image, blank = item.image.read(spec.channels, 1, spec.values)
        return image, blank, _of_bytes(image, blank)
    bands = list(bands_of(stored_image(item, spec.channels), spec.channels, spec.values, item.image.where))
    blank = blank_of(bands)
    image = np.stack([band.shown for band in bands], axis=2)
    return image, blank, _of_bands(bands, blank, spec.values.range)


def _of_bytes(image: np.ndarray, blank: BoolArray | None) -> ValueCounts:
    """Of an image uint8 ``[height, width, channels]`` whose values are its levels."""
    counts = ValueCounts.none(image.shape[2])
    for band in range(image.shape[2]):
        plane = image[..., band]
        if blank is not None:
            plane = plane[~blank][None]
        counts.levels[band] = Image.fromarray(np.ascontiguousarray(plane)).histogram() if plane.size else 0
        held = np.flatnonzero(counts.levels[band])
        if len(held):
            counts.lowest[band], counts.highest[band] = held[0], held[-1]
    counts.pixels = image.shape[0] * image.shape[1]
    counts.blank = 0 if blank is None else int(blank.sum())
    counts.nothing[:] = counts.blank
    return counts


def _of_bands(bands: Sequence[Band], blank: BoolArray | None, bounds: Sequence[tuple[float, float]]) -> ValueCounts:
    counts = ValueCounts.none(len(bands))
    for place, band in enumerate(bands):
        low, high = bounds[place if len(bounds) > 1 else 0]
        stored, shown = band.stored, band.shown
        if band.empty is not None:
            stored, shown = stored[~band.empty], shown[~band.empty]
            counts.nothing[place] = band.empty.sum()
        counts.levels[place] = np.bincount(shown.ravel(), minlength=256)
        counts.below[place], counts.above[place] = (stored < low).sum(), (stored > high).sum()
        if stored.size:
            low, high = counts.lowest[place], counts.highest[place] = stored.min(), stored.max()
            counts.at_lowest[place], counts.at_highest[place] = (stored == low).sum(), (stored == high).sum()
    counts.pixels = bands[0].shown.size
    counts.blank = 0 if blank is None else int(blank.sum())
    return counts


def value_lines(spec: DatasetSpec, counts: ValueCounts) -> list[str]:
    """A line per band: lowest, a histogram of 32 parts, highest, and how many levels reach the network."""
    lines, called = [], spec.values or Values()
    alike = len(counts.levels) > 1 and bool((counts.levels == counts.levels[0]).all())
    shown = 1 if alike else min(len(counts.levels), MOST_BANDS)
    for band in range(shown):
        name = f"bands 1 to {len(counts.levels)}, alike" if alike else called.band(band)
        if not counts.levels[band].any():
            lines.append(f"  {name}: no value")
            continue
        parts = counts.levels[band].reshape(32, 8).sum(1)
        bars = "".join(" " if not n else BARS[min(7, int(8 * n / (parts.max() + 1)))] for n in parts)
        cut = f", {counts.clipped(band):.2%} of its values clipped" if spec.values and spec.values.range else ""
        lines.append(
            f"  {name}: {counts.lowest[band]:g} |{bars}| {counts.highest[band]:g}, "
            f"{counts.reached(band)} of 256 levels reach the network{cut}"
        )
    if len(counts.levels) > max(shown, 1) and not alike:
        lines.append(f"  and {len(counts.levels) - MOST_BANDS} more bands (--html shows all)")
    if counts.nothing.any():
        share, partly = counts.blank / counts.pixels, int(counts.nothing.max()) - counts.blank
        lines.append(
            f"  {share:.2%} of the pixels hold nothing (nodata or not finite in every band): void"
            + (f"; up to {partly / counts.pixels:.2%} miss some bands only and keep their labels" if partly > 0 else "")
        )
    return lines


def judge_range(spec: DatasetSpec, counts: ValueCounts) -> list[tuple[str, str]]:
    """What is wrong with the range: pairs of a line and what to do about it."""
    if spec.values is None or not spec.values.range:
        return []
    found = []
    used = [band for band in range(len(counts.levels)) if counts.levels[band].any()]
    span = [(counts.lowest[band], counts.highest[band]) for band in used]
    better = f"write 'range: {_suggested(span)}' into dataset.yaml, or remove range to have percentiles found"
    few = [band for band in used if counts.spread(band) < FEWEST_LEVELS and counts.highest[band] > counts.lowest[band]]
    if few:
        band = few[0]
        found.append(
            (
                f"the range of values is badly chosen: of {spec.values.band(band)}, from {counts.lowest[band]:g} to "
                f"{counts.highest[band]:g}, nearly all lies in {counts.spread(band)} of 256 levels"
                + (f" (so do {len(few) - 1} more bands)" if len(few) > 1 else ""),
                better,
            )
        )
    apart = {band: alone for band in used if band not in few and (alone := _alone(counts, band)) is not None}
    if apart:
        band, (value, share, rest) = next(iter(apart.items()))
        found.append(
            (
                f"{share:.2%} of {spec.values.band(band)} are {_short(value)}, far from all others, which lie in "
                f"{rest} of 256 levels" + (f" (so do {len(apart) - 1} more bands)" if len(apart) > 1 else ""),
                f"if these pixels hold nothing, write 'nodata: {_short(value)}' into dataset.yaml"
                + (", and remove range to have percentiles found" if not spec.values.source else ""),
            )
        )
    cut = [band for band in used if counts.clipped(band) > MOST_CLIPPED]
    if cut:
        band = max(cut, key=counts.clipped)
        low, high = spec.values.range[band if len(spec.values.range) > 1 else 0]
        total = max(int(counts.levels[band].sum()), 1)
        for value, count, _ in _ends(counts, band):
            if not low <= value <= high and counts.clipped(band) - count / total <= MOST_CLIPPED:
                better = (
                    f"write 'nodata: {_short(value)}' into dataset.yaml if it marks pixels that hold nothing; else "
                    + better
                )
        found.append(
            (
                f"the range of values cuts off {counts.clipped(band):.1%} of {spec.values.band(band)}, which goes from "
                f"{counts.lowest[band]:g} to {counts.highest[band]:g}",
                better,
            )
        )
    return found


def _alone(counts: ValueCounts, band: int) -> tuple[float, float, int] | None:
    """A band's lowest or highest value, its share, and the few levels that are left for all others; else None.

    The mark of no data that nobody named (-9999 beside reflectances): it is one value, frequent, and far away.
    """
    total = int(counts.levels[band].sum())
    two_values = counts.at_lowest[band] + counts.at_highest[band] >= total
    for value, count, end in _ends(counts, band):
        level = int(np.flatnonzero(counts.levels[band])[end])
        rest = counts.spread(band, but=(level,))
        alone = LEAST_REPEATED * total < count == counts.levels[band][level]
        if alone and rest < FEWEST_LEVELS and not two_values:
            return value, count / total, rest
    return None


def _ends(counts: ValueCounts, band: int) -> tuple[tuple[float, int, int], tuple[float, int, int]]:
    """A band's lowest and highest value, how many values are equal to each, and the place of its level."""
    lowest, highest = float(counts.lowest[band]), float(counts.highest[band])
    return (lowest, int(counts.at_lowest[band]), 0), (highest, int(counts.at_highest[band]), -1)


def _suggested(span: Sequence[tuple[float, float]]) -> str:
    low, high = min(low for low, _ in span), max(high for _, high in span)
    return f"[{_short(low)}, {_short(high if high > low else low + 1)}]"


def _short(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.6g}"
