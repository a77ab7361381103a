"""The size of training crops, and which images are smaller than it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fullconv.checking.report import CheckReport
from fullconv.data import DatasetSpec, Item
from fullconv.errors import DataError, UsageError
from fullconv.geometry import round_up
from fullconv.training.config import TrainConfig

LARGEST_DEFAULT_CROP = 512
"""Pixels a side."""
GRID = 32
"""Pixels between two places of the coarsest map of most encoders."""
MOSTLY_PADDING = 16
"""A crop of more than so many times the pixels of the largest image is refused."""
ASKED = 200
"""Images whose sizes are asked for, where no check of the data has read them all."""


def choose_crop(config: TrainConfig, spec: DatasetSpec, report: CheckReport | None) -> tuple[int, int]:
    """``(height, width)``: the option; else the resize size; else the most common image size, its sides rounded to
    multiples of 32, at most 512.

    Raises:
        UsageError: the crop is far larger than any image.
    """
    sizes = sizes_of(spec, report)
    if given := config.crop or config.resize:
        if config.crop and not config.resize and not config.filter_small:
            _refuse_padding(config.crop, sizes)
        return given
    height, width = sizes.most_common(1)[0][0]
    return min(round_up(height, GRID), LARGEST_DEFAULT_CROP), min(round_up(width, GRID), LARGEST_DEFAULT_CROP)


def sizes_of(spec: DatasetSpec, report: CheckReport | None) -> Counter[tuple[int, int]]:
    """Of the train images, ``(height, width)``: as the check read them, else of the first."""
    return report.sizes if report else Counter(item.image.size() for item in spec.split("train")[:ASKED])


def _refuse_padding(crop: tuple[int, int], sizes: Counter[tuple[int, int]]) -> None:
    """Refuse a crop far larger than every image: a slip of the keyboard, which would fill the memory.

    Raises:
        UsageError: it is one.
    """
    largest = max(sizes, key=lambda size: size[0] * size[1], default=crop)
    if crop[0] * crop[1] > MOSTLY_PADDING * largest[0] * largest[1]:
        raise UsageError(
            f"--crop {crop[0]} {crop[1]}: the largest image is {largest[0]}x{largest[1]}, so nearly all of each crop "
            "would be padding; give a smaller one"
        )


def padded_line(report: CheckReport, config: TrainConfig, crop: tuple[int, int]) -> str:
    """How the crop was found, where no option says it, and how many images it is larger than; empty of neither.

    Images that fill it but for their last place of the network's grid lose nothing, and are not counted.
    """
    how = "the resize" if config.resize else f"the most common size in multiples of {GRID}, at most 512 a side"
    sizes = {config.resize or size: 0 for size in report.sizes}
    for size, count in report.sizes.items():
        sizes[config.resize or size] += count
    small = sum(count for (h, w), count in sizes.items() if round_up(h, GRID) < crop[0] or round_up(w, GRID) < crop[1])
    parts = [] if config.crop else [f", {how}"]
    parts += [f"; {small} of {sum(sizes.values())} images are smaller and are padded"] if small else []
    return f"crops of {crop[0]}x{crop[1]} (height x width){''.join(parts)}" if parts else ""


def large_enough(config: TrainConfig, spec: DatasetSpec, split: str, crop: tuple[int, int]) -> Sequence[Item]:
    """The images of a split that are no smaller than the crop.

    Raises:
        DataError: there are none.
    """
    items = spec.split(split)
    sizes = [config.resize or item.image.size() for item in items]
    kept = [item for item, (h, w) in zip(items, sizes, strict=True) if h >= crop[0] and w >= crop[1]]
    if not kept:
        raise DataError(
            f"{spec.root}: filter_small leaves no {split} image of at least {crop[0]}x{crop[1]}, the largest is "
            f"{max(h for h, _ in sizes)} high or {max(w for _, w in sizes)} wide; use a smaller --crop"
        )
    return kept
